// Generated from crds/ by `npm run generate`. Do not edit: change the CRD and run it again.

/**
 * SigningKeySet is one tenant's signing keys: one key signs (current), one is published and will
 * sign next (next), some signed before and still verify (previous), until they are revoked.
 * Rotate with: kubectl annotate signingkeyset NAME rotate=now
 */
export interface SigningKeySet {
  readonly apiVersion: 'signet.dev/v1alpha1';
  readonly kind: 'SigningKeySet';
  readonly metadata: ObjectMeta;
  readonly spec?: SigningKeySetSpec;
  readonly status?: SigningKeySetStatus;
}

/** What Kubernetes keeps about every object. As in the JSON: times are RFC 3339 text. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** Guards every write. */
  readonly resourceVersion: string;
  /** Goes up with each change of the spec. */
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly labels?: {
    readonly [k: string]: string;
  };
  readonly annotations?: {
    readonly [k: string]: string;
  };
  readonly finalizers?: readonly string[];
}

/**
 * What the set should be. Every field is optional, and so is spec itself: an empty one makes a
 * set of RS256 keys that is rotated by hand. The controller never writes here.
 */
export interface SigningKeySetSpec {
  /**
   * The iss of every token, byte for byte, and the URL under which verifiers find discovery and
   * JWKS. An http or https URL without query, fragment or user name. It must match a prefix in the
   * annotation signet.dev/allowed-issuers of the namespace, and no other set may have it, whatever
   * its case, default port or trailing slash. It cannot be changed, added or removed later,
   * because tokens already issued carry it. Default: the public URL of the operator, then
   * /NAMESPACE/NAME; such an issuer needs no permission.
   */
  readonly issuer?: string;
  /**
   * The JWS algorithm of the keys made from now on (RFC 7518; EdDSA is Ed25519, RFC 8037). RS256
   * is understood by every verifier; ES256 and PS256 by those that read discovery; EdDSA not by
   * kube-apiserver, Apache's modules or Nimbus as it comes. A change replaces the next key, whose
   * wait starts over; the current key is never touched and signs until the next rotation. Default:
   * RS256.
   */
  readonly algorithm?:
    | 'RS256'
    | 'RS384'
    | 'RS512'
    | 'PS256'
    | 'PS384'
    | 'PS512'
    | 'ES256'
    | 'ES384'
    | 'ES512'
    | 'EdDSA';
  readonly rsa?: RsaSpec;
  readonly rotation?: RotationSpec;
  readonly revocation?: RevocationSpec;
  readonly tokens?: TokensSpec;
  readonly certificate?: CertificateSpec;
  readonly publish?: PublishSpec;
}

/**
 * For the RS and PS algorithms. Ignored by the others, so that algorithm can be switched without
 * touching it.
 */
export interface RsaSpec {
  /**
   * The size of an RSA key in bits. A longer one signs more slowly: 4096 costs about six times as
   * much as 2048. A change replaces the next key, whose wait starts over, and never the current
   * one. Default: 2048.
   */
  readonly modulusLength?: 2048 | 3072 | 4096;
}

/**
 * When another key signs. By hand at any time: kubectl annotate signingkeyset NAME rotate=now.
 * By itself, if every or schedule is set. A rotation promotes the next key, which verifiers have
 * known for at least propagationDelay; what was current goes on verifying for the grace period.
 * A request that comes too early waits and is carried out once the next key may sign.
 */
export interface RotationSpec {
  /**
   * Rotates by itself when the current key has signed for this long, such as 2160h (90 days). A
   * duration of at least 1s and at least propagationDelay. Excludes schedule. Absent, and without
   * a schedule: by hand only; after 365 days without a rotation the condition RotationOverdue says
   * so.
   */
  readonly every?: string;
  readonly schedule?: ScheduleSpec;
  /**
   * How long a key has been published everywhere before it may sign, so that no verifier meets a
   * token whose key it does not know. It must cover the slowest verifier's cache and the kubelet's
   * refresh of mounted ConfigMaps; 90m covers Apache's hour and most others, too little breaks
   * verifiers at the rotation. A quarter of it, at most five minutes, is the max-age of the JWKS.
   * Longer: holds at once, also for the next key that waits. Shorter: holds from the next key
   * made, because the present one was promised the old wait. 0s: a key may sign as soon as it is
   * published. Default: 90m.
   */
  readonly propagationDelay?: string;
  /**
   * A hold, for incidents and freezes: while true, requests wait and nothing is promoted or
   * revoked. Signing and publishing go on. What was due meanwhile happens once it is false again.
   * Default: false.
   */
  readonly suspend?: boolean;
}

/**
 * Rotates by itself at these times. Excludes every. Times that pass while the operator is down,
 * or while the clock jumps, make at most one rotation together.
 */
export interface ScheduleSpec {
  /**
   * Five fields: minute, hour, day of the month, month, day of the week; such as "0 3 * * 6" for
   * Saturdays at three in the morning.
   */
  readonly cron: string;
  /**
   * The IANA time zone in which cron is meant, such as Europe/Berlin. A time that the change to
   * summer time leaves out is made up for right after it. Default: UTC.
   */
  readonly timeZone?: string;
}

/** What happens to a key after it has signed. */
export interface RevocationSpec {
  /**
   * How long a previous key goes on verifying after a rotation. At least tokens.maxLifetime; a key
   * is never revoked before its last token has expired, whatever this says. Default: the shortest
   * safe time, which is maxLifetime and what a cut-off issuer and a wrong clock may add to it;
   * status.effectiveGracePeriod tells. A longer one protects tokens that were made elsewhere with
   * the same key; a shorter one never shortens what a key was promised. To revoke at once: kubectl
   * annotate signingkeyset NAME revoke=previous.
   */
  readonly gracePeriod?: string;
}

/** Limits on the tokens that the issuer signs with the keys of this set. */
export interface TokensSpec {
  /**
   * The longest time for which a token may be valid; a request for more is refused. At least 1s.
   * Keep it short: it decides how long a previous key must be kept, and how long a leaked token is
   * of use. A change holds for tokens made from then on, and a key stays as long as a token made
   * before needs it. Default: 24h.
   */
  readonly maxLifetime?: string;
  /**
   * The audiences for which tokens may be issued; a request for another is refused. Empty: any,
   * apart from the one reserved for the management API.
   */
  readonly audiences?: readonly string[];
}

/**
 * The self-signed X.509 certificate made with each key, for gateways that take certificates and
 * not a JWKS. A change holds from the next key made; certificates already out stay as they are.
 */
export interface CertificateSpec {
  /**
   * The subject, and so the issuer, of the certificate: CN first, then if wanted O, OU, L, ST, C
   * or DC, as in "CN=login.example.com, O=Example". A comma within a value is written "\,".
   * Default: CN= and the host of the issuer.
   */
  readonly subject?: string;
  /**
   * How long a certificate is valid, from the moment the key is made; at least 1s. Default:
   * 87600h, which is ten years, because it is rotation that retires a key: a certificate that
   * expires while its key signs would break gateways that look at the date.
   */
  readonly duration?: string;
}

/** Where public keys go besides the issuer's JWKS. */
export interface PublishSpec {
  /**
   * ConfigMaps in the namespace of the set that the controller writes and keeps up to date with
   * JWKS, certificates and public keys, for gateways that mount files. A key counts as published
   * only once each of them is written. One taken off the list is deleted. One that exists and was
   * not made for this set is left alone, and blocks rotation by name in status.blockedBy.
   */
  readonly configMaps?: readonly ConfigMapTarget[];
}

export interface ConfigMapTarget {
  /**
   * The name of the ConfigMap. Mount it as a volume, without subPath: a subPath never sees an
   * update.
   */
  readonly name: string;
}

/**
 * What the set is. A report by the controller: it holds times and never ages, and deleting it
 * loses nothing.
 */
export interface SigningKeySetStatus {
  /** The metadata.generation that this status answers to. */
  readonly observedGeneration?: number;
  /**
   * Ready: the set signs and is published as its spec asks. Published: every live issuer and every
   * ConfigMap has every key. RotationPending: a request, or a rotation that is due by itself,
   * waits, message says for what. RotationOverdue: the current key has signed for more than 365
   * days. ClockSkew: the operator's clock and the API server's disagree, so nothing is promoted or
   * revoked.
   */
  readonly conditions?: readonly Condition[];
  /**
   * The keys of the set: current, next, up to three previous, and the last three revoked. The
   * previous ones stand newest first. The Secret is the truth; no private half is ever here.
   */
  readonly keys?: readonly KeyStatus[];
  /** The key that signs, by the first 8 characters of its kid, more until unique within the set. */
  readonly current?: string;
  /** The key that signs after the next rotation, shortened like current. */
  readonly next?: string;
  /**
   * From when on the next key may sign, as far as is known. Absent while it is not published
   * everywhere; blockedBy says by whom.
   */
  readonly promotableAt?: string;
  /** When the set rotates by itself. Absent if it is rotated by hand only. */
  readonly nextRotationAt?: string;
  /**
   * What keeps the next key from being promotable, other than time: at most three names, such as
   * ConfigMap login-verification-keys or PreviousKeys.
   */
  readonly blockedBy?: readonly string[];
  /**
   * How long a key demoted now would go on verifying: the longer of revocation.gracePeriod and
   * what its last token needs.
   */
  readonly effectiveGracePeriod?: string;
  readonly lastRotation?: LastRotationStatus;
  /**
   * The iss of every token, as stored when the set was first seen. No flag or spec changes it
   * afterwards.
   */
  readonly issuer?: string;
  /** Where the public keys are served. */
  readonly jwksURI?: string;
}

/** One aspect of the set, as everywhere in Kubernetes. */
export interface Condition {
  /** Ready, Published, RotationPending, RotationOverdue or ClockSkew. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** The metadata.generation that the condition was set for. */
  readonly observedGeneration?: number;
  /** When status last changed. */
  readonly lastTransitionTime: string;
  /** Why, in one word. docs/troubleshooting.md explains each. */
  readonly reason: string;
  /** Why, in a sentence, and what to type next. */
  readonly message: string;
}

/** One key, and when it went from state to state. */
export interface KeyStatus {
  /** The RFC 7638 thumbprint of the key, the kid of its tokens. */
  readonly kid: string;
  /**
   * current signs, next is published and waits, previous still verifies, revoked is published
   * nowhere.
   */
  readonly state: 'current' | 'next' | 'previous' | 'revoked';
  /** The JWS algorithm that the key was made for. */
  readonly algorithm:
    | 'RS256'
    | 'RS384'
    | 'RS512'
    | 'PS256'
    | 'PS384'
    | 'PS512'
    | 'ES256'
    | 'ES384'
    | 'ES512'
    | 'EdDSA';
  /** When the key was made. */
  readonly createdAt: string;
  /**
   * When every live issuer and every ConfigMap was seen to have it. Absent while one is missing.
   * propagationDelay counts from here.
   */
  readonly publishedAt?: string;
  /** When the key began to sign. */
  readonly promotedAt?: string;
  /** When another key took over. */
  readonly demotedAt?: string;
  /** When a previous key leaves everything that is published. */
  readonly revokeAt?: string;
  /** When the key was taken out of everything that is published. */
  readonly revokedAt?: string;
  /** When every live issuer and every ConfigMap was seen to be without it. */
  readonly revokedEverywhereAt?: string;
  /**
   * The latest expiry that a token of this key can have. The key verifies at least until then,
   * unless revoked by request.
   */
  readonly tokensUntil?: string;
  /** The SHA-256 of the certificate, hexadecimal with colons, as openssl prints it. */
  readonly fingerprint?: string;
  /** When the certificate expires. */
  readonly notAfter?: string;
}

/** The last time another key began to sign. Absent before the first. */
export interface LastRotationStatus {
  /** When. */
  readonly at: string;
  /**
   * What started it: Request (rotate=now, rotate=id:), Force, Compromised and Rollback for the
   * requests of those names, rotation.schedule, or the age in rotation.every.
   */
  readonly trigger: 'Request' | 'Force' | 'Compromised' | 'Rollback' | 'Schedule' | 'Age';
  /** The request as typed, such as rotate=now. Absent for the other triggers. */
  readonly request?: string;
  /** The kid that signed before. */
  readonly from: string;
  /** The kid that signs since. */
  readonly to: string;
}
