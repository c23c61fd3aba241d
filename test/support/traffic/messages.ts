/** What a test and its traffic process say to each other. */

/** Given when it starts. */
export interface TrafficOptions {
  /** The replicas of the issuer behind one Service. */
  readonly replicas: readonly ReplicaAddress[];
  /** Path of a kubeconfig that may read ConfigMaps. */
  readonly kubeconfig: string;
  /** Milliseconds between two tokens of one set. */
  readonly interval: number;
  /** How old a mounted ConfigMap may be, in milliseconds: gateways see each change so much later. */
  readonly mountDelay: number;
}

export interface ReplicaAddress {
  /** `https://host:port` */
  readonly url: string;
  /** `http://host:port/readyz` */
  readonly readyUrl: string;
}

/** A set that tokens are signed for. */
export interface FollowedSet {
  readonly namespace: string;
  readonly name: string;
  /** `iss` of its tokens. */
  readonly issuer: string;
  /** A ServiceAccount token that may create `signingkeysets/claims`. */
  readonly credential: string;
  /** That a gateway mounts. */
  readonly configMap?: string;
  /** Of a token, in seconds. */
  readonly lifetime: number;
}

export type Command =
  | { readonly do: 'follow'; readonly set: FollowedSet }
  | { readonly do: 'forget'; readonly namespace: string; readonly name: string }
  | { readonly do: 'route'; readonly replicas: readonly ReplicaAddress[] }
  | { readonly do: 'tally' };

/** `cached` asks as late as the headers allow, `fresh` every time, `gateway` reads a ConfigMap. */
export const VERIFIERS = ['cached', 'fresh', 'gateway'] as const;
export type VerifierName = (typeof VERIFIERS)[number];

/** A token that had not expired, and did not verify. */
export interface RefusedToken {
  /** `<namespace>/<name>` */
  readonly set: string;
  readonly kid: string;
  readonly verifier: VerifierName;
  /** Unix ms. */
  readonly at: number;
  readonly signedAt: number;
  /** When the keys that it was held against were asked for, Unix ms. */
  readonly keysOf: number;
  /** jose's code, such as ERR_JWKS_NO_MATCHING_KEY. */
  readonly code: string;
}

/** What has happened since it started. */
export interface Tally {
  readonly signed: number;
  /** Tokens that were not signed, by code of the refusal, or `unreachable`. */
  readonly unsigned: Readonly<Record<string, number>>;
  /** How often a verifier asked for a JWKS and got none. */
  readonly unpublished: number;
  readonly verified: Readonly<Record<VerifierName, number>>;
  /** Of them, how many in the last second of their token. */
  readonly verifiedLate: number;
  /** To be judged by the ledger. */
  readonly refused: readonly RefusedToken[];
  /** All, also those beyond what can be kept. */
  readonly refusals: number;
  /** By kid, when one of its tokens last verified, Unix ms. */
  readonly lastVerified: Readonly<Record<string, Partial<Record<VerifierName, number>>>>;
  /** The kids that signed, by set, in order of their first token. */
  readonly kids: Readonly<Record<string, readonly string[]>>;
}
