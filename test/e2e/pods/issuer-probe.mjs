// Evaluated inside the issuer's container: tries what its credentials are good for. Prints JSON.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { hostname } from 'node:os';

const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
const read = (name) => readFileSync(`/run/signet/issuer/credentials/${name}`, 'utf8').trim();
const headers = { Authorization: `Bearer ${read('token')}`, 'Content-Type': 'application/json' };
const here = `/namespaces/${read('namespace')}`;

/** @returns the status, and the object that was answered. */
function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, method, path, headers, ca: read('ca.crt') }, (response) => {
      let text = '';
      response.on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, object: JSON.parse(text) }));
    });
    sent.on('error', reject).end(body && JSON.stringify(body));
  });
}

const [other] = process.argv.slice(1);
const leases = `/apis/coordination.k8s.io/v1${here}/leases`;
const mine = `${leases}/signet-issuer-${hostname()}`;
const named = (kind, name, rest) => ({ kind, metadata: { name }, ...rest });
const lease = (name) => named('Lease', name, { apiVersion: 'coordination.k8s.io/v1' });
const access = { verb: 'get', resource: 'pods' };

const TRIES = {
  'list Secrets here': () => call('GET', `/api/v1${here}/secrets?limit=1`),
  // RBAC looks neither at names nor at types where something is listed.
  'list the key of the certificate authority': () =>
    call('GET', `/api/v1${here}/secrets?fieldSelector=metadata.name%3Dsignet-ca`),
  'list what Helm keeps of the release': () =>
    call('GET', `/api/v1${here}/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1`),
  'review a token': () =>
    call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'x' } }),
  'review an access': () =>
    call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      spec: { user: 'ada', resourceAttributes: access },
    }),
  'read its Lease': () => call('GET', mine),
  'renew its Lease': async () => call('PUT', mine, (await call('GET', mine)).object),
  'renew the Lease of another replica': async () => {
    const { object } = await call('GET', mine);
    const path = `${leases}/${other}`;
    return call('PUT', path, { ...object, metadata: (await call('GET', path)).object.metadata });
  },
  'read one Secret by name': () => call('GET', `/api/v1${here}/secrets/signet-ca`),
  'write a Secret': () => call('POST', `/api/v1${here}/secrets`, named('Secret', 'x')),
  'list Secrets elsewhere': () => call('GET', '/api/v1/namespaces/kube-system/secrets'),
  'list ConfigMaps': () => call('GET', `/api/v1${here}/configmaps`),
  'read sets': () => call('GET', '/apis/signet.dev/v1alpha1/signingkeysets'),
  'list pods': () => call('GET', `/api/v1${here}/pods`),
  'make a token': () => call('POST', `/api/v1${here}/serviceaccounts/signet-issuer/token`, {}),
  'make another Lease': () => call('POST', leases, lease('other')),
  'take the leader’s Lease': async () => {
    const path = `${leases}/signet-controller`;
    return call('PUT', path, (await call('GET', path)).object);
  },
};

const own = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const found = { 'the controller’s token is there': existsSync(own) };
for (const [what, attempt] of Object.entries(TRIES)) {
  const { status, object } = await attempt();
  found[what] =
    object.kind === 'SecretList' ? `${object.items.length > 0 ? 'some' : 'no'} Secrets` : status;
}
try {
  writeFileSync('/app/x', '');
  found['write its own disk'] = 'written';
} catch (error) {
  found['write its own disk'] = error.code;
}
process.stdout.write(JSON.stringify(found));
