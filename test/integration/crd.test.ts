import { execFile } from 'node:child_process';
import { appendFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type {
  SigningKeySetSpec,
  SigningKeySetStatus,
} from '../../src/api/signingkeyset.generated.ts';
import type { Cluster } from '../controlplane/cluster.ts';
import { makeNamespace, sharedCluster } from '../support/cluster.ts';

let cluster: Cluster;
let namespace: string;

beforeAll(async () => {
  cluster = await sharedCluster();
  namespace = await makeNamespace(cluster);
});

afterAll(() => cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']));

function kubectl(args: readonly string[], input = ''): Promise<string> {
  return cluster.kubectl(['-n', namespace, ...args], { input }).then(({ stdout }) => stdout);
}

/** A manifest as a user types it; `spec` is YAML. */
function manifest(spec: string, name = 'login'): string {
  return `{apiVersion: signet.dev/v1alpha1, kind: SigningKeySet, metadata: {name: ${name}}, spec: ${spec}}`;
}

/** What the API server says to it, one line for each cause, or nothing when it is taken. */
async function refusals(refused: Promise<unknown>): Promise<readonly string[]> {
  const said = await refused.then(
    () => '',
    (error: { stderr: string }) => error.stderr,
  );
  return said
    .replace(/^The SigningKeySet "\S+" is invalid: ?/, '')
    .split('\n')
    .map((line) => line.replace(/^\* /, '').trim())
    .filter((line) => line !== '' && !line.includes('some validation rules were not checked'));
}

function tryOut(spec: string, name?: string): Promise<readonly string[]> {
  return refusals(kubectl(['create', '--dry-run=server', '-f', '-'], manifest(spec, name)));
}

const LONG_URL = `https://${'a'.repeat(505)}`;
const LONG_NAME = 'a'.repeat(64);
const AUDIENCES = Array.from({ length: 65 }, (_, number) => `a${number}`).join(',');
const CONFIG_MAPS = Array.from({ length: 9 }, (_, number) => `{name: c${number}}`).join(',');
const TYPE_A_DURATION = 'is not a duration: type a number with a unit, such as 90m or 26h';
const TOO_LONG =
  'is too long a duration, or its units are out of order: type at most 876000h (100 years), hours first';
const TYPE_A_URL =
  'is not an absolute URL: type the scheme and a host, such as https://login.example.com/';
const NO_QUERY =
  'has a query or a fragment, which an issuer must not have: remove the ? or # and what follows it';
const TYPE_A_SUBJECT =
  'is not a subject: type CN= and a name, such as CN=login.example.com or "CN=login.example.com, O=Example"';
const TYPE_A_CRON =
  'is not a cron schedule: type five fields (minute, hour, day, month, weekday), such as "0 3 * * 6"';
const ALGORITHMS =
  '"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"';

/** A spec, the field that is named and the one message that it gets. */
const REFUSED: readonly (readonly [spec: string, field: string, message: string])[] = [
  ['{rotation: {every: "90"}}', 'rotation.every', `"90" ${TYPE_A_DURATION}`],
  ['{rotation: {every: 1d}}', 'rotation.every', `"1d" ${TYPE_A_DURATION}`],
  ['{rotation: {every: 9999999h}}', 'rotation.every', `"9999999h" ${TOO_LONG}`],
  ['{rotation: {every: 876001h}}', 'rotation.every', `"876001h" ${TOO_LONG}`],
  ['{rotation: {every: 3m1h}}', 'rotation.every', `"3m1h" ${TOO_LONG}`],
  [
    '{rotation: {propagationDelay: soon}}',
    'rotation.propagationDelay',
    `"soon" ${TYPE_A_DURATION}`,
  ],
  [
    '{rotation: {every: 2h, propagationDelay: 1.2.3h}}',
    'rotation.propagationDelay',
    `"1.2.3h" ${TYPE_A_DURATION}`,
  ],
  ['{revocation: {gracePeriod: 1 h}}', 'revocation.gracePeriod', `"1 h" ${TYPE_A_DURATION}`],
  ['{tokens: {maxLifetime: ""}}', 'tokens.maxLifetime', `"" ${TYPE_A_DURATION}`],
  [
    '{revocation: {gracePeriod: 26h}, tokens: {maxLifetime: -5m}}',
    'tokens.maxLifetime',
    `"-5m" ${TYPE_A_DURATION}`,
  ],
  [
    '{certificate: {duration: ten years}}',
    'certificate.duration',
    `"ten years" ${TYPE_A_DURATION}`,
  ],
  ['{tokens: {maxLifetime: 0s}}', 'tokens.maxLifetime', '0s is too short: type at least 1s'],
  ['{tokens: {maxLifetime: 999ms}}', 'tokens.maxLifetime', '999ms is too short: type at least 1s'],
  [
    '{rotation: {every: 0s, propagationDelay: 0s}}',
    'rotation.every',
    '0s is too short: type at least 1s',
  ],
  ['{certificate: {duration: 0s}}', 'certificate.duration', '0s is too short: type at least 1s'],
  [
    '{revocation: {gracePeriod: 1h}}',
    'revocation.gracePeriod',
    'gracePeriod 1h is shorter than tokens.maxLifetime 24h, so a token could outlive the key that verifies it: raise gracePeriod to at least 24h, lower maxLifetime, or remove gracePeriod to get the shortest safe one',
  ],
  [
    '{rotation: {every: 1h}}',
    'rotation.every',
    'every 1h is shorter than propagationDelay 90m, so a key would be due before it may sign: raise every to at least 90m or lower propagationDelay',
  ],
  [
    '{rotation: {every: 2160h, schedule: {cron: "0 3 * * 6"}}}',
    'rotation.schedule',
    'every 2160h and schedule "0 3 * * 6" exclude each other: keep one and remove the other',
  ],
  ['{rotation: {schedule: {}}}', 'rotation.schedule.cron', 'Required value'],
  ['{rotation: {schedule: {cron: "@daily"}}}', 'rotation.schedule.cron', `"@daily" ${TYPE_A_CRON}`],
  ['{rotation: {schedule: {cron: 0 3 * *}}}', 'rotation.schedule.cron', `"0 3 * *" ${TYPE_A_CRON}`],
  [
    '{rotation: {schedule: {cron: 0 3 * * SAT, timeZone: Mars/ Base}}}',
    'rotation.schedule.timeZone',
    '"Mars/ Base" is not a time zone: type an IANA name, such as UTC or Europe/Berlin',
  ],
  ['{issuer: login}', 'issuer', `"login" ${TYPE_A_URL}`],
  ['{issuer: ""}', 'issuer', `"" ${TYPE_A_URL}`],
  ['{issuer: "ftp://login.example.com"}', 'issuer', `"ftp://login.example.com" ${TYPE_A_URL}`],
  ['{issuer: "https:///login"}', 'issuer', `"https:///login" ${TYPE_A_URL}`],
  ['{issuer: "https://a.example:65536/"}', 'issuer', `"https://a.example:65536/" ${TYPE_A_URL}`],
  ['{issuer: "https://a.example/%zz"}', 'issuer', `"https://a.example/%zz" ${TYPE_A_URL}`],
  ['{issuer: "https://a.example/?x=1"}', 'issuer', `"https://a.example/?x=1" ${NO_QUERY}`],
  ['{issuer: "https://a.example/#top"}', 'issuer', `"https://a.example/#top" ${NO_QUERY}`],
  [
    '{issuer: "https://me:secret@a.example/"}',
    'issuer',
    'an issuer is public and carries no user name: remove what stands before the @',
  ],
  [
    '{issuer: "https://münchen.example/"}',
    'issuer',
    '"https://münchen.example/" has a character that a URL does not allow: write the host in punycode and the path percent-encoded',
  ],
  [
    '{issuer: "https://a.example/x/../y"}',
    'issuer',
    "an issuer's path has no . or .. segment, which clients would rewrite: remove it",
  ],
  [
    '{issuer: "https://a.example/%2E%2e/x"}',
    'issuer',
    "an issuer's path has no . or .. segment, which clients would rewrite: remove it",
  ],
  [
    '{issuer: "https://a.example/x/.%2e"}',
    'issuer',
    "an issuer's path has no . or .. segment, which clients would rewrite: remove it",
  ],
  [`{issuer: "${LONG_URL}"}`, 'issuer', 'Too long: may not be more than 512 bytes'],
  ['{algorithm: RS257}', 'algorithm', `"RS257": supported values: ${ALGORITHMS}`],
  ['{algorithm: none}', 'algorithm', `"none": supported values: ${ALGORITHMS}`],
  ['{rsa: {modulusLength: 1024}}', 'rsa.modulusLength', 'supported values: "2048", "3072", "4096"'],
  ['{tokens: {audiences: [a, a]}}', 'tokens.audiences[1]', 'Duplicate value: "a"'],
  ['{tokens: {audiences: [""]}}', 'tokens.audiences[0]', 'should be at least 1 chars long'],
  [`{tokens: {audiences: [${AUDIENCES}]}}`, 'tokens.audiences', 'must have at most 64 items'],
  [
    '{publish: {configMaps: [{name: A_b}]}}',
    'publish.configMaps[0].name',
    '"A_b" is not a name for a ConfigMap: type lower-case letters, digits, - and ., such as login-verification-keys',
  ],
  [
    '{publish: {configMaps: [{name: a}, {name: a}]}}',
    'publish.configMaps[1]',
    'Duplicate value: {"name":"a"}',
  ],
  [`{publish: {configMaps: [${CONFIG_MAPS}]}}`, 'publish.configMaps', 'must have at most 8 items'],
  ['{certificate: {subject: login}}', 'certificate.subject', `"login" ${TYPE_A_SUBJECT}`],
  ['{certificate: {subject: CN=}}', 'certificate.subject', `"CN=" ${TYPE_A_SUBJECT}`],
  ['{certificate: {subject: "CN=a,b"}}', 'certificate.subject', `"CN=a,b" ${TYPE_A_SUBJECT}`],
  [
    String.raw`{certificate: {subject: "CN=a\tb"}}`,
    'certificate.subject',
    TYPE_A_SUBJECT.replace(/^is /, ''),
  ],
];

describe('The API server refuses, with one message that says what to type,', () => {
  test.each(REFUSED)('%s', async (spec, field, message) => {
    const [said = '', ...rest] = await tryOut(spec);
    expect(said.startsWith(`spec.${field}: `), said).toBe(true);
    expect(said.slice(-message.length)).toBe(message);
    expect(rest).toEqual([]);
  });

  test('a name that is too long for a label value', async () => {
    expect(await tryOut('{}', LONG_NAME)).toEqual([
      `metadata.name: Invalid value: "${LONG_NAME}" is too long a name: type at most 63 characters, because it becomes a label value`,
    ]);
  });

  test('a field that does not exist', async () => {
    expect(await tryOut('{rotaton: {every: 2160h}}')).toEqual([
      expect.stringContaining('unknown field "spec.rotaton"'),
    ]);
  });
});

describe('The API server takes', () => {
  test.each([
    ['durations as Go prints them', '{rotation: {every: 2160h0m0s, propagationDelay: 1.5s}}'],
    ['equal durations', '{revocation: {gracePeriod: 24h}, rotation: {every: 90m}}'],
    ['an RSA size beside another algorithm', '{algorithm: ES256, rsa: {modulusLength: 4096}}'],
    ['an issuer with port, path and capitals', '{issuer: "https://LOGIN.example:443/a/b~c/"}'],
    ['an issuer with dots in a segment', '{issuer: "https://a.example/.x/%2ex/..."}'],
    ['an issuer with an IPv6 address', '{issuer: "http://[::1]:65535"}'],
    ['a subject that ends in a backslash', String.raw`{certificate: {subject: 'CN=a\\'}}`],
    ['a subject with an escaped comma', String.raw`{certificate: {subject: 'CN=a b, O=X\, Inc.'}}`],
    ['a schedule with names', '{rotation: {schedule: {cron: "*/5 3-4 1,15 JAN MON-FRI"}}}'],
  ])('%s', async (_, spec) => {
    expect(await tryOut(spec)).toEqual([]);
  });

  test('a name of 63 characters', async () => {
    expect(await tryOut('{}', LONG_NAME.slice(1))).toEqual([]);
  });
});

describe('Defaults', () => {
  const DEFAULTS: SigningKeySetSpec = {
    algorithm: 'RS256',
    rsa: { modulusLength: 2048 },
    rotation: { propagationDelay: '90m', suspend: false },
    tokens: { maxLifetime: '24h', audiences: [] },
    certificate: { duration: '87600h' },
    publish: { configMaps: [] },
  };

  test.each(['null', '{}', '{rotation: {}, tokens: {}, publish: {}}'])(
    'are filled in when the spec is %s',
    async (spec) => {
      const json = await kubectl(['create', '--dry-run=server', '-o=json', '-f-'], manifest(spec));
      expect(JSON.parse(json).spec).toEqual(DEFAULTS);
    },
  );

  test('include UTC for a schedule without a time zone', async () => {
    const spec = '{rotation: {schedule: {cron: 0 3 * * 6}}}';
    const json = await kubectl(['create', '--dry-run=server', '-o=json', '-f-'], manifest(spec));
    expect(JSON.parse(json).spec.rotation.schedule.timeZone).toBe('UTC');
  });
});

describe('An issuer never changes', () => {
  const fromTo = (from: string, to: string): string =>
    `spec.issuer: Invalid value: the issuer cannot be changed from ${from} to ${to}, because every token already issued carries it: put the old one back, or make another SigningKeySet`;
  const A = '"https://a.example/"';
  const B = '"https://b.example/"';

  beforeAll(async () => {
    await kubectl(['create', '-f', '-'], manifest('{issuer: "https://a.example/"}', 'named'));
    await kubectl(['create', '-f', '-'], manifest('{}', 'unnamed'));
  });

  test.each([
    ['by another one', 'named', `{"spec":{"issuer":${B}}}`, fromTo(A, B)],
    ['by removing it', 'named', '{"spec":{"issuer":null}}', fromTo(A, 'the default')],
    ['by `spec: null`', 'named', '{"spec":null}', fromTo(A, 'the default')],
    ['by adding one later', 'unnamed', `{"spec":{"issuer":${B}}}`, fromTo('the default', B)],
  ])('%s', async (_, name, patch, message) => {
    const patched = kubectl(['patch', 'sks', name, '--type=merge', '-p', patch]);
    expect(await refusals(patched)).toEqual([message]);
  });

  test('by replacing the object with one that has no spec', async () => {
    const replaced = kubectl(['replace', '-f', '-'], manifest('null', 'named'));
    expect(await refusals(replaced)).toEqual([fromTo(A, 'the default')]);
  });

  test('and everything else may change', async () => {
    const patch = '{"spec":{"algorithm":"ES256","rotation":null}}';
    expect(await refusals(kubectl(['patch', 'sks', 'named', '--type=merge', '-p', patch]))).toEqual(
      [],
    );
  });
});

describe('kubectl', () => {
  test('explains a field with its default, its unit and what a change does', async () => {
    const text = (await kubectl(['explain', 'sks.spec.rotation'])).replace(/\s+/g, ' ');
    expect(text).toContain('annotate signingkeyset NAME rotate=now');
    expect(text).toContain('Default: 90m.');
    expect(text).toContain('Shorter: holds from the next key made');
  });

  test('explains every field there is', async () => {
    const crd = JSON.parse(await kubectl(['get', 'crd', 'signingkeysets.signet.dev', '-o=json']));
    const { properties } = crd.spec.versions[0].schema.openAPIV3Schema;
    expect([...mute('spec', properties.spec), ...mute('status', properties.status)]).toEqual([]);
  });

  test('shows a set in the columns that people ask for, and whole kids when wide', async () => {
    await kubectl(['create', '-f', '-'], manifest('{algorithm: ES256}', 'shown'));
    const patch = JSON.stringify({ status: STATUS });
    await kubectl(['patch', 'sks', 'shown', '--subresource=status', '--type=merge', '-p', patch]);
    const [heading = '', row = ''] = (await kubectl(['get', 'sks', 'shown'])).split('\n');
    expect(heading.trim().split(/\s+/).join(' ')).toBe(
      'NAME ALG CURRENT NEXT PROMOTABLE ROTATED READY AGE',
    );
    expect(row.trim().split(/\s+/)).toEqual([
      'shown',
      'ES256',
      'current1',
      'next-one',
      '2026-01-01T10:00:00Z',
      expect.stringMatching(/^\d+d$|^\d+y/),
      'True',
      expect.stringMatching(/^\d+s$/),
    ]);
    const wide = (await kubectl(['get', 'sks', 'shown', '-o', 'wide'])).trim().split('\n');
    expect(wide.map((line) => line.trim().split(/\s+/).slice(-5))).toEqual([
      ['PENDING', 'CURRENT-KID', 'NEXT-KID', 'PREVIOUS-KID', 'ISSUER'],
      [
        ...['WaitingForPropagation', 'current1-whole', 'next-one-whole', 'previous-newest'],
        'https://login.example.com/',
      ],
    ]);
  });
});

const MOMENT = '2026-01-01T10:00:00Z';
const key = { algorithm: 'ES256', createdAt: MOMENT } as const;
const told = { status: 'True', message: '', lastTransitionTime: MOMENT } as const;
const STATUS: SigningKeySetStatus = {
  current: 'current1',
  next: 'next-one',
  promotableAt: MOMENT,
  issuer: 'https://login.example.com/',
  lastRotation: { at: MOMENT, trigger: 'Request', request: 'rotate=now', from: 'a', to: 'b' },
  keys: [
    { ...key, kid: 'current1-whole', state: 'current' },
    { ...key, kid: 'next-one-whole', state: 'next' },
    { ...key, kid: 'previous-newest', state: 'previous' },
    { ...key, kid: 'previous-older', state: 'previous' },
  ],
  conditions: [
    { ...told, type: 'Ready', reason: 'Signing' },
    { ...told, type: 'RotationPending', reason: 'WaitingForPropagation' },
  ],
};

interface Described {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
}

/** The paths of the fields without a description. */
function mute(path: string, schema: Described): readonly string[] {
  const children = Object.entries({ ...schema.properties, ...schema.items?.properties });
  return [
    ...(schema.description ? [] : [path]),
    ...children.flatMap(([name, child]) => mute(`${path}.${name}`, child)),
  ];
}

describe('npm run generate -- --check', () => {
  const ROOT = join(import.meta.dirname, '..', '..');
  const PATHS = [
    'crds',
    'src/api/signingkeyset.generated.ts',
    'docs/api-reference.md',
    'charts/signet/templates/crd.yaml',
    'charts/signet/values.yaml',
    'charts/signet/README.md',
  ];
  let copy: string;

  beforeAll(async () => {
    copy = await mkdtemp(join(tmpdir(), 'signet-generate-'));
    for (const path of PATHS) await cp(join(ROOT, path), join(copy, path), { recursive: true });
    await cp(join(ROOT, 'package.json'), join(copy, 'package.json'));
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  });

  afterAll(() => rm(copy, { recursive: true }));

  const check = (): Promise<unknown> =>
    promisify(execFile)(process.execPath, ['crds/generate.ts', '--check'], { cwd: copy });

  test('passes on what is checked in, and names each file that was edited', async () => {
    await check();
    await appendFile(join(copy, 'docs/api-reference.md'), 'By hand.\n');
    await expect(check()).rejects.toMatchObject({
      code: 1,
      stderr: 'docs/api-reference.md is stale: run npm run generate\n',
    });
  });
});
