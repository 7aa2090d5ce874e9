import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** A Docker engine that is a Swarm manager, real or small; new for each test. */
export interface EngineWorld {
  /** One call of its API; `body` of a failure is its message, else the JSON. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
  /** What every service's name begins with. */
  readonly prefix: string;
  /** A pinned image that its nodes can pull; `exits` ends with code 3 as soon as it runs. */
  image(behaviour: "runs" | "exits"): Promise<string>;
  /** What this engine needs in every task besides the image. */
  readonly task: object;
  pass(): Promise<void>;
  close(): Promise<void>;
}

interface Spec {
  readonly Name: string;
  readonly Labels?: object;
  readonly TaskTemplate: { readonly ContainerSpec: { readonly Image: string } };
}
interface Service {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: Spec;
  readonly PreviousSpec?: Spec;
  readonly UpdateStatus?: {
    readonly State: string;
    readonly StartedAt: string;
    readonly CompletedAt?: string;
    readonly Message: string;
  };
}

const maxLooks = 200;
const second = 1_000_000_000;

/** What a deployer relies on; the small swarm is as good as a real one where both pass this. */
export function engineContract(name: string, make: () => Promise<EngineWorld>): void {
  describe(name, () => {
    let world: EngineWorld;
    let web: string;
    beforeEach(async () => {
      world = await make();
      web = `${world.prefix}web`;
    });
    afterEach(() => world.close());

    const specOf = (image: string, failureAction = "pause") => ({
      Name: web,
      Labels: { team: "forms" },
      TaskTemplate: {
        ContainerSpec: { Image: image, StopGracePeriod: second },
        RestartPolicy: { Condition: "any", Delay: second },
        ...world.task,
      },
      Mode: { Replicated: { Replicas: 1 } },
      UpdateConfig: { Parallelism: 1, Monitor: second, FailureAction: failureAction },
    });

    async function read(): Promise<Service> {
      return (await world.call("GET", `/services/${web}`)).body as Service;
    }
    async function tasks(): Promise<
      readonly { readonly Status: { readonly State: string; readonly Err?: string } }[]
    > {
      const filters = encodeURIComponent(JSON.stringify({ service: [(await read()).ID] }));
      return (await world.call("GET", `/tasks?filters=${filters}`)).body as never;
    }
    async function running(failureAction?: string): Promise<string> {
      const image = await world.image("runs");
      expect((await world.call("POST", "/services/create", specOf(image, failureAction))).status).toBe(201);
      await until(async () => (await tasks()).some((task) => task.Status.State === "running"));
      return image;
    }
    async function update(change: (spec: Spec) => unknown, query = "", headers = {}) {
      const { Spec, Version } = await read();
      const path = `/services/${web}/update?version=${Version.Index}${query}`;
      return world.call("POST", path, change(Spec), headers);
    }
    async function until(satisfied: () => Promise<boolean>): Promise<void> {
      for (let looks = 0; looks < maxLooks; looks++) {
        if (await satisfied()) return;
        await world.pass();
      }
      throw new Error(`not seen in ${maxLooks} looks: ${JSON.stringify((await read()).UpdateStatus)}`);
    }
    /** A state that passes may be over before one looks: name the one that follows too. */
    async function untilState(...states: string[]): Promise<Service> {
      await until(async () => states.includes((await read()).UpdateStatus?.State ?? ""));
      return read();
    }
    const withImage = (image: string) => (spec: Spec) => ({
      ...spec,
      TaskTemplate: {
        ...spec.TaskTemplate,
        ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Image: image },
      },
    });
    const imageOf = (spec: Spec | undefined) => spec?.TaskTemplate.ContainerSpec.Image;

    it("refuses in its own words what cannot be", async () => {
      await running();
      const { Version, Spec } = await read();
      const current = `/services/${web}/update?version=${Version.Index}`;
      const refusals: [string, string, unknown, number, RegExp][] = [
        ["GET", "/services/nope", undefined, 404, /^service nope not found$/],
        [
          "GET",
          '/services?filters={"foo":["a"]}',
          undefined,
          400,
          /^Invalid filter 'foo'$|invalid filter 'foo'/,
        ],
        [
          "GET",
          "/services?filters=abc",
          undefined,
          400,
          /^invalid character 'a' looking for beginning of value$/,
        ],
        [
          "POST",
          `/services/${web}/update`,
          Spec,
          400,
          /^invalid service version '': strconv.ParseUint: parsing "": invalid syntax$/,
        ],
        ["POST", current, undefined, 400, /^got EOF while reading request body$/],
        ["POST", current, {}, 400, /mismatched Runtime and \*Spec fields/],
        [
          "POST",
          current,
          withImage("UPPER/Bad:ref@@")(Spec),
          400,
          /"UPPER\/Bad:ref@@" is not a valid repository\/tag$/,
        ],
        ["POST", current, { ...Spec, Name: `${web}2` }, 501, /renaming services is not supported$/],
        ["POST", current, { ...Spec, Mode: { Global: {} } }, 501, /service mode change is not allowed$/],
        [
          "POST",
          `/services/${web}/update?version=1`,
          Spec,
          500,
          /^rpc error: code = Unknown desc = update out of sequence$/,
        ],
        ["POST", `/services/nope/update?version=${Version.Index}`, Spec, 404, /^service nope not found$/],
        [
          "POST",
          `${current}&rollback=previous`,
          Spec,
          400,
          /FailedPrecondition desc = service \w+ does not have a previous spec$/,
        ],
        ["POST", `${current}&rollback=foo`, Spec, 500, /unrecognized rollback option foo$/],
        [
          "POST",
          `${current}&registryAuthFrom=previous-spec`,
          Spec,
          500,
          /service does not have a previous spec$/,
        ],
        ["POST", `${current}&registryAuthFrom=foo`, Spec, 500, /unsupported registryAuthFrom value$/],
        [
          "POST",
          "/services/create",
          specOf(imageOf(Spec) ?? ""),
          409,
          /AlreadyExists desc = name conflicts with an existing object/,
        ],
      ];
      for (const [method, path, body, status, words] of refusals) {
        const answer = await world.call(method, path, body);
        expect([path, answer.status, answer.body]).toEqual([path, status, expect.stringMatching(words)]);
      }
      expect((await read()).Version).toEqual(Version);
    });

    it("takes the name of a filter for the beginning of one", async () => {
      await running();
      const named = encodeURIComponent(JSON.stringify({ name: [web.slice(0, -1)] }));
      const { body } = await world.call("GET", `/services?filters=${named}&status=true`);
      expect(body).toMatchObject([
        { Spec: { Name: web }, ServiceStatus: { RunningTasks: 1, DesiredTasks: 1 } },
      ]);
    });

    it("goes from no state to updating to completed, and its version moves by itself", async () => {
      const first = await running();
      expect((await read()).UpdateStatus).toBeUndefined();
      const next = await world.image("runs");
      expect(await update(withImage(next))).toMatchObject({ status: 200, body: { Warnings: null } });
      const during = await untilState("updating");
      expect(during.UpdateStatus?.CompletedAt).toBeUndefined();
      const after = await untilState("completed");
      expect(after.Version.Index).toBeGreaterThan(during.Version.Index);
      expect(after.UpdateStatus?.Message).toBe("update completed");
      expect(after.UpdateStatus?.StartedAt).toBe(during.UpdateStatus?.StartedAt);
      expect([imageOf(after.Spec), imageOf(after.PreviousSpec)]).toEqual([next, first]);
    });

    it("loses state and rollback target on a write that changes no task", async () => {
      await running();
      const next = await world.image("runs");
      await update(withImage(next));
      await untilState("completed");
      const before = (await tasks()).length;
      await update((spec) => ({ ...spec, Labels: { ...spec.Labels, touched: "yes" } }));
      await world.pass();
      const after = await read();
      expect(after.UpdateStatus).toBeUndefined();
      expect([imageOf(after.Spec), imageOf(after.PreviousSpec)]).toEqual([next, next]);
      expect(await tasks()).toHaveLength(before);
    });

    it("pauses on a failing image and keeps it", async () => {
      await running();
      const bad = await world.image("exits");
      await update(withImage(bad));
      const { UpdateStatus, Spec } = await untilState("paused");
      expect(UpdateStatus?.Message).toMatch(
        /^update paused due to failure or early termination of task \w{25}$/,
      );
      expect(imageOf(Spec)).toBe(bad);
      expect((await tasks()).map((task) => task.Status.Err)).toContain("task: non-zero exit (3)");
    });

    it("rolls a failing image back by itself, and forgets what came before", async () => {
      const first = await running("rollback");
      await update(withImage(await world.image("exits")));
      const during = await untilState("rollback_started", "rollback_completed");
      expect(during.UpdateStatus?.Message).toMatch(
        /^(?:update rolled back due to failure or early termination of task|rollback completed$)/,
      );
      const { Spec, PreviousSpec, UpdateStatus } = await untilState("rollback_completed");
      expect([imageOf(Spec), PreviousSpec]).toEqual([first, undefined]);
      expect(UpdateStatus?.Message).toBe("rollback completed");
    });

    it("swaps the specs when it is asked to roll back, whatever the body says", async () => {
      const first = await running();
      const next = await world.image("runs");
      await update(withImage(next));
      await untilState("completed");
      expect(
        (await update((spec) => ({ ...spec, Labels: { ignored: "yes" } }), "&rollback=previous")).status,
      ).toBe(200);
      expect((await read()).UpdateStatus?.Message).toBe("manually requested rollback");
      const { Spec, PreviousSpec } = await untilState("rollback_completed");
      expect([imageOf(Spec), imageOf(PreviousSpec), Spec.Labels]).toEqual([first, next, { team: "forms" }]);
    });

    it("lets a second update overtake the first, which is then what came before", async () => {
      await running();
      const [half, last] = [await world.image("runs"), await world.image("runs")];
      await update(withImage(half));
      await untilState("updating");
      expect((await update(withImage(last))).status).toBe(200);
      const { Spec, PreviousSpec } = await untilState("completed");
      expect([imageOf(Spec), imageOf(PreviousSpec)]).toEqual([last, half]);
    });

    it("says nothing of an update of no tasks", async () => {
      await running();
      await update((spec) => ({ ...spec, Mode: { Replicated: { Replicas: 0 } } }));
      await update(withImage(await world.image("runs")));
      for (let looks = 0; looks < 6; looks++) await world.pass();
      expect((await read()).UpdateStatus).toBeUndefined();
    });

    it("takes a header with credentials that it cannot read without a word", async () => {
      await running();
      const headers = { "x-registry-auth": "not/base64+url" };
      expect((await update((spec) => spec, "", headers)).status).toBe(200);
    });

    it("refuses versions of its API that it does not have", async () => {
      const tooNew = await world.call("GET", "/v1.99/services");
      expect(tooNew).toEqual({
        status: 400,
        body: expect.stringMatching(
          /^client version 1.99 is too new. Maximum supported API version is 1\.\d+$/,
        ),
      });
      const tooOld = await world.call("GET", "/v1.9/services");
      expect(tooOld).toEqual({
        status: 400,
        body: expect.stringMatching(
          /^client version 1.9 is too old. Minimum supported API version is 1\.\d+, please/,
        ),
      });
    });
  });
}
