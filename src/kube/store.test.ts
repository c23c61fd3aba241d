import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Log } from './log.ts';
import { type Change, Store } from './store.ts';

interface Thing {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
  };
}

const ignore: Log['info'] = () => {};
const log: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function thing(version: number, uid = 'first', name = 'a'): Thing {
  return { metadata: { name, uid, resourceVersion: `${version}` } };
}

function listed(object: Thing) {
  return { metadata: { namespace: undefined, ...object.metadata }, object };
}

function open() {
  const store = new Store<Thing>(log);
  const changes: Change<Thing>[] = [];
  store.subscribe((change) => changes.push(change));
  return { store, changes };
}

test('in whatever order versions arrive, the newest stays, and changes only go forward', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1 }), (versions) => {
      const { store, changes } = open();
      for (const version of versions) store.put(thing(version));
      expect(store.get(undefined, 'a')).toEqual(thing(Math.max(...versions)));
      const told = changes.map(({ object }) => Number(object.metadata.resourceVersion));
      expect(told).toEqual([...new Set(told)].sort((one, other) => one - other));
    }),
  );
});

test('versions are compared as integers of any size', () => {
  const { store } = open();
  store.put(thing(9));
  store.put(thing(10));
  expect(store.get(undefined, 'a')).toEqual(thing(10));
});

test('what we removed does not come back by an older event or list, its successor does', () => {
  const { store, changes } = open();
  store.put(thing(1));
  store.remove(thing(1));
  store.put(thing(2));
  store.retain([listed(thing(2))], '3');
  store.put(thing(2));
  expect(store.list()).toEqual([]);
  store.put(thing(9, 'second'));
  store.deleted(thing(5));
  expect(store.list()).toEqual([thing(9, 'second')]);
  expect(changes.map(({ type }) => type)).toEqual(['upsert', 'delete', 'upsert']);
});

test('the late answer of a write does not bring back what was deleted meanwhile', () => {
  const { store, changes } = open();
  store.put(thing(1));
  store.deleted(thing(3));
  store.put(thing(2));
  expect(store.list()).toEqual([]);
  store.put(thing(4, 'second'));
  store.retain([], '6');
  store.put(thing(5, 'second'));
  expect(store.list()).toEqual([]);
  expect(changes.map(({ type }) => type)).toEqual(['upsert', 'delete', 'upsert', 'delete']);
});

test('what a selector left out for a while comes back by a newer version', () => {
  const { store } = open();
  store.put(thing(1));
  store.deleted(thing(2));
  store.put(thing(3));
  expect(store.list()).toEqual([thing(3)]);
});

test('a list deletes what it lacks, but not what is newer than it', () => {
  const { store, changes } = open();
  store.put(thing(1, 'old', 'old'));
  store.put(thing(8, 'new', 'new'));
  store.put(thing(3, 'kept', 'kept'));
  store.retain([listed(thing(3, 'kept', 'kept'))], '5');
  expect(store.list().map(({ metadata }) => metadata.name)).toEqual(['new', 'kept']);
  expect(changes[3]).toEqual({ type: 'delete', object: thing(1, 'old', 'old'), isLast: false });
});

test('a deletion tells whether the last state of the object is known', () => {
  const { store, changes } = open();
  store.put(thing(1, 'seen', 'seen'));
  store.put(thing(2, 'missed', 'missed'));
  store.deleted(thing(3, 'seen', 'seen'), thing(3, 'seen', 'seen'));
  store.retain([], '4');
  expect(changes.slice(2)).toEqual([
    { type: 'delete', object: thing(3, 'seen', 'seen'), isLast: true },
    { type: 'delete', object: thing(2, 'missed', 'missed'), isLast: false },
  ]);
});

test('a list from a server that was restored takes the place of everything, older or not', () => {
  const { store, changes } = open();
  store.put(thing(7, 'older', 'older'));
  store.put(thing(8, 'gone', 'gone'));
  store.put(thing(9, 'deleted', 'deleted'));
  store.deleted(thing(9, 'deleted', 'deleted'));
  const restored = [thing(3, 'older', 'older'), thing(4, 'deleted', 'deleted')];
  store.restart(restored.map(listed));
  expect(store.list()).toEqual(restored);
  expect(changes.slice(4)).toEqual([
    { type: 'delete', object: thing(8, 'gone', 'gone'), isLast: false },
    { type: 'upsert', object: restored[0], previous: thing(7, 'older', 'older') },
    { type: 'upsert', object: restored[1] },
  ]);
  store.put(thing(5, 'older', 'older'));
  expect(store.get(undefined, 'older')).toEqual(thing(5, 'older', 'older'));
});

test.each([
  ['an older version of what is held', [thing(3)], 9n, 7n, true],
  ['something that should have been seen before', [thing(5), thing(6, 'b', 'b')], 9n, 7n, true],
  ['a newer version of what is held', [thing(8)], 9n, 7n, false],
  ['what was made since', [thing(5), thing(8, 'b', 'b')], 9n, 7n, false],
  ['less than is held', [], 9n, 7n, false],
  ['what was there before a write of ours', [thing(3)], 4n, 3n, false],
])('a list that shows %s: it is of another history: %5$s', (_, list, version, seen, isOther) => {
  const { store } = open();
  store.put(thing(5));
  expect(store.contradicts(list.map(listed), version, seen)).toBe(isOther);
});

test('a change tells what was there before', () => {
  const { store, changes } = open();
  store.put(thing(1));
  store.put(thing(2));
  expect(changes).toEqual([
    { type: 'upsert', object: thing(1) },
    { type: 'upsert', object: thing(2), previous: thing(1) },
  ]);
});
