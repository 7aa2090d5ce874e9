/** A call to the outside by its name, and which one of that name it is, from 1: the second `Firestore Commit`. */
export interface Call {
  readonly what: string;
  readonly nth: number;
}

/** Right before the call is passed on, or when its answer has arrived and nobody has it yet. */
export type Side = "before" | "after";

/** Where everything comes by that one process calls: counts it, and can make a call the last thing that happened. */
export interface Border {
  /** Since the process was let in or `count` was called. */
  readonly calls: readonly Call[];
  /** Counts from 1 again. */
  count(): void;
  /** Resolves when the process is dead of that call. Whatever it has sent besides goes nowhere from then on. */
  dieAt(call: Call, side: Side, kill: () => Promise<unknown>): Promise<void>;
  /** The call did not come: nobody dies of it any more. */
  spare(): void;
  /** The next process: nothing of the dead one's stands in its way. */
  letIn(): void;
  /** @returns what came back; `undefined`: there is nobody to have it */
  cross<T>(what: string, forward: () => Promise<T>): Promise<T | undefined>;
}

interface Death {
  readonly call: Call;
  readonly side: Side;
  execute(): Promise<void>;
}

export function border(): Border {
  let calls: Call[] = [];
  let death: Death | undefined;
  let isClosed = false;

  return {
    get calls() {
      return calls;
    },
    count: () => {
      calls = [];
    },
    dieAt: (call, side, kill) =>
      new Promise((resolve, reject) => {
        const execute = async () => {
          death = undefined;
          isClosed = true;
          await kill().then(() => resolve(), reject);
        };
        death = { call, side, execute };
      }),
    spare: () => {
      death = undefined;
    },
    letIn: () => {
      calls = [];
      isClosed = false;
    },
    async cross(what, forward) {
      if (isClosed) return undefined;
      const nth = calls.filter((call) => call.what === what).length + 1;
      calls.push({ what, nth });
      const last = death?.call.what === what && death.call.nth === nth ? death : undefined;
      if (last?.side === "before") {
        await last.execute();
        return undefined;
      }
      const answer = await forward();
      if (last !== undefined) await last.execute();
      return isClosed ? undefined : answer;
    },
  };
}
