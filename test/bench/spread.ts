/** How a figure was scattered over the rounds of one run. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

/** @throws RangeError without values */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError("nothing was measured");
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  return { min: at(1 / sorted.length), median: at(0.5), p95: at(0.95), max: at(1) };
}

export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}
