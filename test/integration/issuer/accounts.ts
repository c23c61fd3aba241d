import { GROUP, PLURAL } from '../../../src/api/constants.ts';

/** ServiceAccounts in the tenant's namespace, by what they may create of any set in it. */
const ACCOUNTS = {
  client: ['token'],
  authority: ['claims'],
  both: ['token', 'claims'],
  stranger: [],
} as const;
export type Account = keyof typeof ACCOUNTS;

/** Those ServiceAccounts with their roles, as one List to create. */
export function accountsIn(namespace: string): object {
  const items = Object.entries(ACCOUNTS).flatMap(([name, powers]) =>
    account(namespace, name, powers),
  );
  return { apiVersion: 'v1', kind: 'List', items };
}

function account(namespace: string, name: string, powers: readonly string[]): object[] {
  const metadata = { namespace, name };
  const rbac = 'rbac.authorization.k8s.io';
  const serviceAccount = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
  if (powers.length === 0) return [serviceAccount];
  return [
    serviceAccount,
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        {
          apiGroups: [GROUP],
          resources: powers.map((power) => `${PLURAL}/${power}`),
          verbs: ['create'],
        },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  ];
}
