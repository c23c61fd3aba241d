import type { V1SubjectAccessReview, V1TokenReview } from '@kubernetes/client-node';
import { GROUP, PLURAL } from '../api/constants.ts';
import type { Kube } from '../kube/client.ts';
import type { Reviewer } from './authorize.ts';

const TOKEN_REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';
const ACCESS_REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews';

/** Asks the API server by TokenReview and SubjectAccessReview: the only two things that it writes. */
export function createReviewer(kube: Pick<Kube, 'request'>): Reviewer {
  const review = async <T extends object>(path: string, spec: object): Promise<T> => {
    const [, , group = '', version = ''] = path.split('/');
    const kind = path === TOKEN_REVIEWS ? 'TokenReview' : 'SubjectAccessReview';
    const { body } = await kube.request('POST', path, {
      body: { apiVersion: `${group}/${version}`, kind, spec },
    });
    return body as T;
  };
  return {
    async authenticate(token, audience) {
      const spec = { token, audiences: [audience] };
      const { status } = await review<V1TokenReview>(TOKEN_REVIEWS, spec);
      const { authenticated, audiences, user } = status ?? {};
      // An authenticator that knows no audiences leaves them out: that is not a yes.
      if (!authenticated || !audiences?.includes(audience) || !user?.username) return undefined;
      const { username, uid, groups = [], extra = {} } = user;
      return { username, groups, extra, ...(uid !== undefined && { uid }) };
    },

    async mayCreate({ username, uid, groups, extra }, subresource, { namespace, name }) {
      const { status } = await review<V1SubjectAccessReview>(ACCESS_REVIEWS, {
        user: username,
        groups,
        extra,
        ...(uid !== undefined && { uid }),
        resourceAttributes: {
          group: GROUP,
          resource: PLURAL,
          subresource,
          namespace,
          name,
          verb: 'create',
        },
      });
      return status?.allowed === true && status.denied !== true;
    },
  };
}
