{{/*
What the schema could only refuse with a regular expression, or not at all. A message names the value
and what to type.
*/}}
{{- define "signet.validate" -}}
{{- $name := `^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$` -}}
{{- $label := `^([a-z]([a-z0-9-]*[a-z0-9])?)?$` -}}
{{- $checks := list
  (list "nameOverride" .Values.nameOverride $label "a name: type lower case letters, digits and hyphens, a letter first, such as keys")
  (list "fullnameOverride" .Values.fullnameOverride $label "a name: type lower case letters, digits and hyphens, a letter first, such as keys")
  (list "image.repository" .Values.image.repository `^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9._/-]+$` "a repository: type it without tag and digest, such as registry.example.com/signet, and image.tag or image.digest")
  (list "image.digest" .Values.image.digest `^(sha256:[0-9a-f]{64})?$` "a digest: type sha256: and 64 digits from 0 to f, as docker push prints them")
  (list "tls.secretName" .Values.tls.secretName $name "the name of a Secret: type lower case letters, digits, hyphens and dots, such as tokens-tls")
  (list "serviceMonitor.interval" .Values.serviceMonitor.interval `^([0-9]+h)?([0-9]+m)?([0-9]+s)?$` "an interval: type hours, minutes and seconds, such as 30s or 1m30s")
-}}
{{- range $index, $namespace := .Values.watchNamespaces -}}
{{- $checks = append $checks (list (printf "watchNamespaces[%d]" $index) $namespace `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$` "the name of a namespace: type lower case letters, digits and hyphens, such as identity") -}}
{{- end -}}
{{- range $path, $hosts := dict "tls.certManager.dnsNames" .Values.tls.certManager.dnsNames "ingress.hosts" .Values.ingress.hosts "httpRoute.hostnames" .Values.httpRoute.hostnames -}}
{{- range $index, $host := $hosts -}}
{{- $checks = append $checks (list (printf "%s[%d]" $path $index) $host `^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$` "a host: type its name in lower case, without https:// and port, such as tokens.example.com") -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDisruptionBudget.maxUnavailable -}}
{{- if kindIs "string" . -}}
{{- $checks = append $checks (list "podDisruptionBudget.maxUnavailable" . `^([1-9][0-9]?|100)%$` "a number of pods: type one such as 1, or a share such as 50%") -}}
{{- end -}}
{{- end -}}
{{- range $checks -}}
{{- if not (regexMatch (index . 2) (toString (index . 1))) -}}
{{- fail (printf "%s %q is not %s" (index . 0) (toString (index . 1)) (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.image.tag .Values.image.digest -}}
{{- fail (printf "image.tag %s and image.digest are both set, and the digest alone says which image runs: type image.digest= (nothing) for the tag, or image.tag= for the digest" .Values.image.tag) -}}
{{- end -}}
{{- if ne (include "signet.publicHost" .) (lower (include "signet.publicHost" .)) -}}
{{- fail (printf "the host of publicUrl %q has capitals, and clients compare an issuer byte for byte: type the host in lower case" .Values.publicUrl) -}}
{{- end -}}
{{- with .Values.issuer.service -}}
{{- if eq (int .httpPort) (int .httpsPort) -}}
{{- fail (printf "issuer.service.httpPort and issuer.service.httpsPort are both %v: type another port for one of them, or httpPort 0 for none" .httpPort) -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls.certManager -}}
{{- if and .enabled (not $.Values.publicUrl) (not .dnsNames) (not .serviceNames) -}}
{{- fail "tls.certManager has no name to certify: type publicUrl, tls.certManager.dnsNames or tls.certManager.serviceNames=true" -}}
{{- end -}}
{{- end -}}
{{- if not .Values.serviceMonitor.interval -}}
{{- fail "serviceMonitor.interval is empty: type hours, minutes and seconds, such as 30s or 1m30s" -}}
{{- end -}}
{{- range $path, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels -}}
{{- range $key, $_ := $labels -}}
{{- if regexMatch `^(app\.kubernetes\.io/(name|instance|version|managed-by|part-of|component)|helm\.sh/chart)$` $key -}}
{{- fail (printf "%s has %s, which the chart sets itself and finds its pods by: leave it out (nameOverride changes app.kubernetes.io/name)" $path $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range list "ingress" "httpRoute" -}}
{{- $route := index $.Values . -}}
{{- if and $route.enabled (eq $route.port "http") (eq (int $.Values.issuer.service.httpPort) 0) -}}
{{- fail (printf "%s.port is http, and issuer.service.httpPort 0 turns that off: type %s.port=https, or a port such as 80" . .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.apiServerTo) -}}
{{- fail "networkPolicy.enabled needs networkPolicy.apiServerTo, where the API server is, for no selector finds it: type such as [{ipBlock: {cidr: 10.96.0.1/32}}, {ipBlock: {cidr: 192.0.2.10/32}}], with the addresses that kubectl get service,endpointslices -n default prints for kubernetes" -}}
{{- end -}}
{{- if eq .Values.issuer.service.type "ClusterIP" -}}
{{- range list "loadBalancerClass" "loadBalancerIP" "loadBalancerSourceRanges" "externalTrafficPolicy" -}}
{{- if index $.Values.issuer.service . -}}
{{- fail (printf "issuer.service.%s is for what comes from outside: type issuer.service.type=LoadBalancer too" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
