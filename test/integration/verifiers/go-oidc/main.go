// A verifier that lives long: coreos/go-oidc, as its README has it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

func main() {
	issuer, audience := os.Args[1], os.Args[2]
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: audience})
	fmt.Println("ready")
	tokens := bufio.NewScanner(os.Stdin)
	for tokens.Scan() {
		if _, err := verifier.Verify(ctx, tokens.Text()); err != nil {
			fmt.Printf("error %q\n", err)
			continue
		}
		fmt.Println("ok")
	}
}
