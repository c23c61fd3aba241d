/**
 * Compares what the chart grants with what the tests used: neither more nor less.
 *
 *   node test/permissions/compare.ts <folder of uses>
 */
import { type Rendered, render } from '../chart/render.ts';
import { readUses, type Use } from './uses.ts';

interface Grant {
  readonly account: string;
  /** `home`: the operator's namespace; `watched`: each of `watchNamespaces`; `cluster`: everywhere. */
  readonly reach: 'home' | 'watched' | 'cluster';
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly names?: readonly string[];
}

/** Granted though no test uses it, and why. */
const UNUSED: Readonly<Record<string, string>> = {};

function grantsOf({ kind, metadata, rules = [] }: Rendered): readonly Grant[] {
  const [, account, isOfSets] = /^signet-(controller|issuer)(-sets)?$/.exec(metadata.name) ?? [];
  if (account === undefined || !/^(Cluster)?Role$/.test(kind)) return [];
  const reach = kind === 'ClusterRole' ? 'cluster' : isOfSets ? 'watched' : 'home';
  return rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => ({
          ...{ account, reach, group, resource, verb },
          ...(resourceNames === undefined ? {} : { names: resourceNames }),
        })),
      ),
    ),
  );
}

/** A list of one namespace shows nothing of a permission for all: that is asked of all. */
const USED_IN: Readonly<Record<Grant['reach'], readonly Use['scope'][]>> = {
  home: ['home'],
  watched: ['elsewhere'],
  cluster: ['home', 'elsewhere', 'cluster'],
};

function covers(grant: Grant, use: Use): boolean {
  return (
    grant.account === use.account &&
    grant.group === use.group &&
    grant.resource === use.resource &&
    grant.verb === use.verb &&
    USED_IN[grant.reach].includes(use.scope) &&
    (grant.names === undefined || (use.name !== undefined && grant.names.includes(use.name)))
  );
}

function shown(of: Grant | Use): string {
  const { account, verb, group, resource } = of;
  const names = 'names' in of && of.names ? ` [${of.names.join(' ')}]` : '';
  const place = 'reach' in of ? of.reach : of.scope;
  return `${account}: ${verb} ${resource}${group === '' ? '' : `.${group}`}${names} (${place})`;
}

const [folder = ''] = process.argv.slice(2);
const everywhere = (await render()).flatMap(grantsOf);
const some = (await render({ values: ['watchNamespaces={shop}'] })).flatMap(grantsOf);
const watched = some.filter(({ reach }) => reach === 'watched');
const grants = [...everywhere, ...watched];
const uses = readUses(folder);
/** With `watchNamespaces` too, what is asked in the namespace of a set must be granted there. */
const denied = uses
  .filter(
    (use) =>
      !everywhere.some((grant) => covers(grant, use)) ||
      (use.scope === 'elsewhere' && !some.some((grant) => covers(grant, use))),
  )
  .map(shown);
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
