import { RecentMap } from '../kube/recent-map.ts';

/**
 * A pure function that keeps its last answers, for what is worked out anew for each request though
 * it hardly ever differs. Bounded, because what is asked comes from anyone.
 */
export function remember<K, V extends object | string | number>(
  capacity: number,
  compute: (key: K) => V,
): (key: K) => V {
  const answers = new RecentMap<K, V>(capacity);
  return (key) => {
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = compute(key);
    answers.set(key, answer);
    return answer;
  };
}
