import { PENDING_ANNOTATION } from '../../../src/api/constants.ts';
import { formatDuration } from '../../../src/api/duration.ts';
import { currentKey, nextKey, type Policy } from '../../../src/rotation/situation.ts';
import type { Fault, Universe } from './universe.ts';

/** One thing that happens: in a failure, a line of the history. */
export interface Happening {
  readonly what: string;
  readonly run: (universe: Universe) => void;
}

/** Something happens, and everybody who is there notices. */
function happening(what: string, happens: (universe: Universe) => void): Happening {
  return {
    what,
    run(universe) {
      happens(universe);
      universe.look();
    },
  };
}

/** Somebody types one `kubectl annotate`. */
export function annotate(annotations: Readonly<Record<string, string>>): Happening {
  const typed = Object.entries(annotations).map(([name, value]) => `${name}=${value}`);
  return happening(typed.join(' '), (universe) => universe.annotate(named(universe, annotations)));
}

/** `<current>`, `<next>` stand for those kids. */
function named(universe: Universe, annotations: Readonly<Record<string, string>>) {
  const ring = universe.secret;
  const kids: Record<string, string> =
    ring === undefined ? {} : { '<current>': currentKey(ring).kid, '<next>': nextKey(ring).kid };
  const entries = Object.entries(annotations);
  return Object.fromEntries(entries.map(([name, value]) => [name, kids[value] ?? value]));
}

export const cancel = happening('signet.dev/pending-', (universe) =>
  universe.annotate({ [PENDING_ANNOTATION]: null }),
);

/** @param time in milliseconds. */
export function wait(time: number): Happening {
  return happening(`${formatDuration(time)} pass`, (universe) => universe.wait(time));
}

export function spec(change: Partial<Policy>, what = JSON.stringify(change)): Happening {
  return happening(`spec or flags: ${what}`, (universe) => {
    universe.policy = { ...universe.policy, ...change };
  });
}

/** A replica signs, if it may. */
export function sign(replica: number): Happening {
  return happening(`issuer ${replica} signs`, (universe) =>
    universe.issuers.sign(replica, universe.now),
  );
}

export function cut(replica: number): Happening {
  return happening(`issuer ${replica} is cut off`, (universe) => universe.issuers.cut(replica));
}

export function crash(replica: number): Happening {
  return happening(`issuer ${replica} crashes`, (universe) => universe.issuers.crash(replica));
}

export function stop(replica: number): Happening {
  return happening(`issuer ${replica} stops`, (universe) => universe.issuers.stop(replica));
}

export const heal = happening('all issuers are back', (universe) => universe.issuers.heal());

export const scaleUp = happening('another issuer starts', (universe) =>
  universe.issuers.scaleUp(universe.policy.maxStaleness, universe.readable, universe.now),
);

/** The next write but so many fails, or its answer is lost; the controller crashes then. */
export function fault(coming: Fault): Happening {
  const which = coming.after === 0 ? 'the next write' : `the write after ${coming.after} more`;
  const how = coming.kind === 'lost' ? "'s answer is lost" : ' fails';
  return happening(`${which}${how}, and the controller crashes`, (universe) => {
    universe.fault = coming;
  });
}

export const down = happening('the controller crashes', (universe) => {
  universe.isControllerUp = false;
});

export const up = happening('a controller starts', (universe) => universe.restart());

/** @param offset of the wall clock to the API server's, in milliseconds. */
export function clock(offset: number): Happening {
  const shown = `${offset < 0 ? '-' : '+'}${formatDuration(Math.abs(offset))}`;
  return happening(`the controller's clock shows ${shown}`, (universe) =>
    universe.clock.set(offset),
  );
}

export const refuse = happening('ConfigMaps cannot be written', (universe) =>
  universe.configMaps.allow(false),
);
export const allow = happening('ConfigMaps can be written', (universe) =>
  universe.configMaps.allow(true),
);
export const addConfigMap = happening('another ConfigMap', (universe) => universe.configMaps.add());
export const removeConfigMap = happening('a ConfigMap less', (universe) =>
  universe.configMaps.remove(universe.now),
);

export const overwrite = happening('a ConfigMap is put back to the backup', (universe) => {
  const { backup, newest } = universe;
  if (backup !== undefined && newest !== undefined && universe.set !== undefined) {
    universe.configMaps.overwrite(backup, newest, universe.now);
  }
});

export const remove = happening('the set is deleted', (universe) => {
  // Without its Secret nothing is left of its keys, as whoever deletes both may want.
  if (universe.secret !== undefined && !universe.isDamaged) universe.delete();
});
export const make = happening('the set is made again', (universe) => {
  if (universe.set === undefined) universe.make();
});

export const backUp = happening('the Secret is backed up', (universe) => {
  universe.backup = universe.readable ?? universe.backup;
});
export const damage = happening('the Secret is damaged', (universe) => {
  if (universe.set !== undefined && universe.secret !== undefined) universe.isDamaged = true;
});
export const mend = happening('the Secret is mended', (universe) => {
  universe.isDamaged = false;
});
export const putBack = happening(
  'the Secret is put back to the backup, under its own name',
  (universe) => universe.putBack(),
);
export const lose = happening('the Secret is deleted', (universe) => {
  // Before the first report nobody can tell a set that lost its keys from a new one.
  if (universe.set !== undefined && universe.set.reportedKids.length > 0) universe.lose();
});
