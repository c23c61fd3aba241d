import { GROUP, PLURAL } from '../api/constants.ts';
import type { Kube } from '../kube/client.ts';
import type { Reviewer } from './authorize.ts';

/** Asks the API server by TokenReview and SubjectAccessReview: the only two things that it writes. */
export function createReviewer(kube: Pick<Kube, 'authentication' | 'authorization'>): Reviewer {
  return {
    async authenticate(token, audience) {
      const { status } = await kube.authentication.createTokenReview({
        body: { spec: { token, audiences: [audience] } },
      });
      const { authenticated, audiences, user } = status ?? {};
      // An authenticator that knows no audiences leaves them out: that is not a yes.
      if (!authenticated || !audiences?.includes(audience) || !user?.username) return undefined;
      const { username, uid, groups = [], extra = {} } = user;
      return { username, groups, extra, ...(uid !== undefined && { uid }) };
    },

    async mayCreate({ username, uid, groups, extra }, subresource, { namespace, name }) {
      const { status } = await kube.authorization.createSubjectAccessReview({
        body: {
          spec: {
            user: username,
            groups: [...groups],
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
          },
        },
      });
      return status?.allowed === true && status.denied !== true;
    },
  };
}
