/** What could not be asked is asked again after these, ms; the last one repeats. */
export const troublePausesMs = [10_000, 60_000, 300_000, 900_000] as const;

/** For so long a message waits for somebody who cannot be asked, ms; then a person is told. */
export const giveUpMs = 24 * 3_600_000;

/** A registry may be behind its own webhook: look again after these, ms. */
export const lagPausesMs = [10_000, 60_000] as const;

/** Where the payload names the digest to wait for; Distribution reports a push before its tag has moved. */
export const namedLagPausesMs = [1_000, ...lagPausesMs] as const;
