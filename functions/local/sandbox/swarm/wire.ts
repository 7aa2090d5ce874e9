import {
  nodeId,
  nodePlatform,
  type ServiceRecord,
  type SwarmState,
  type TaskRecord,
  wantedSlots,
} from "./state.ts";

/** A service as `GET /services` gives it; what is not there is left away, never null. */
export function serviceWire(state: SwarmState, service: ServiceRecord, withStatus: boolean): object {
  const tasks = state.tasks.filter((task) => task.serviceId === service.id);
  const running = tasks.filter((task) => task.state === "running" && task.desired === "running");
  return {
    ID: service.id,
    Version: { Index: service.version },
    CreatedAt: time(service.createdMs),
    UpdatedAt: time(service.updatedMs),
    Spec: service.spec,
    PreviousSpec: service.previousSpec,
    UpdateStatus: service.status,
    ...(withStatus
      ? {
          ServiceStatus: {
            RunningTasks: running.length,
            DesiredTasks: wantedSlots(service.spec).length,
            CompletedTasks: 0,
          },
        }
      : {}),
  };
}

export function taskWire(task: TaskRecord): object {
  const message = task.state === "running" || task.state === "failed" ? "started" : task.state;
  return {
    ID: task.id,
    Version: { Index: task.version },
    CreatedAt: time(task.createdMs),
    UpdatedAt: time(task.stateMs),
    Spec: task.template,
    ServiceID: task.serviceId,
    ...(task.slot === 0 ? {} : { Slot: task.slot }),
    ...(task.state === "new" || task.state === "pending" ? {} : { NodeID: nodeId }),
    Status: {
      Timestamp: time(task.stateMs),
      State: task.state,
      Message: message,
      Err: task.error,
      ContainerStatus: { ContainerID: "", PID: 0, ExitCode: task.exitCode },
      PortStatus: {},
    },
    DesiredState: task.desired,
  };
}

export const nodeWire = {
  ID: nodeId,
  Version: { Index: 9 },
  Spec: { Labels: {}, Role: "manager", Availability: "active" },
  Description: { Hostname: "sandbox", Platform: nodePlatform, Engine: { EngineVersion: "20.10.24" } },
  Status: { State: "ready", Addr: "127.0.0.1" },
  ManagerStatus: { Leader: true, Reachability: "reachable", Addr: "127.0.0.1:2377" },
};

export const infoWire = {
  ID: "SANDBOX",
  Name: "sandbox",
  ServerVersion: "20.10.24",
  OSType: nodePlatform.OS,
  Architecture: nodePlatform.Architecture,
  NCPU: 2,
  MemTotal: 4 * 1024 ** 3,
  Swarm: { NodeID: nodeId, LocalNodeState: "active", ControlAvailable: true, Nodes: 1, Managers: 1 },
};

function time(ms: number): string {
  return new Date(ms).toISOString();
}
