/**
 * Compares what the chart grants with what the tests used: neither more nor less.
 *
 *   node test/permissions/compare.ts <folder of uses>
 */
import { type Rendered, render } from '../chart/render.ts';
import { readUses, type Use } from './uses.ts';

interface Grant {
  readonly account: string;
  /** Of a Role: the operator's namespace alone. */
  readonly home: boolean;
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly names?: readonly string[];
}

/** Granted though no test uses it, and why. */
const UNUSED: Readonly<Record<string, string>> = {};

function grantsOf({ kind, metadata, rules = [] }: Rendered): readonly Grant[] {
  const account = /^signet-(controller|issuer)$/.exec(metadata.name)?.[1];
  if (account === undefined || !/^(Cluster)?Role$/.test(kind)) return [];
  return rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => ({
          ...{ account, home: kind === 'Role', group, resource, verb },
          ...(resourceNames === undefined ? {} : { names: resourceNames }),
        })),
      ),
    ),
  );
}

function covers(grant: Grant, use: Use): boolean {
  return (
    grant.account === use.account &&
    grant.group === use.group &&
    grant.resource === use.resource &&
    grant.verb === use.verb &&
    (!grant.home || use.scope === 'home') &&
    (grant.names === undefined || (use.name !== undefined && grant.names.includes(use.name)))
  );
}

function shown(of: Grant | Use): string {
  const { account, verb, group, resource } = of;
  const names = 'names' in of && of.names ? ` [${of.names.join(' ')}]` : '';
  const place = 'home' in of ? (of.home ? ' at home' : ' everywhere') : ` (${of.scope})`;
  return `${account}: ${verb} ${resource}${group === '' ? '' : `.${group}`}${names}${place}`;
}

const [folder = ''] = process.argv.slice(2);
const grants = (await render()).flatMap(grantsOf);
const uses = readUses(folder);
const denied = uses.filter((use) => !grants.some((grant) => covers(grant, use))).map(shown);
const unused = grants
  .filter((grant) => !uses.some((use) => covers(grant, use)))
  .map(shown)
  .filter((grant) => !(grant in UNUSED));
const stale = Object.keys(UNUSED).filter((grant) => !grants.some((each) => shown(each) === grant));
for (const use of denied) console.error(`used and not granted: ${use}`);
for (const grant of unused) console.error(`granted and not used: ${grant}`);
for (const grant of stale) console.error(`an exception for what is not granted: ${grant}`);
console.log(`${grants.length} permissions granted, ${uses.length} kinds of requests made`);
process.exitCode = denied.length + unused.length + stale.length === 0 ? 0 : 1;
