// The demo's stage: a client, weir with two switching processors, and three servers, each in a network
// namespace of its own, joined by virtual cables; and the client's load. On each server run a web server
// (service 'web') and, for load feedback, an application that needs CPU time, with a weir agent (service
// 'app'). Everything is registered with lab/clean-up.ts, which takes it away however the demo ends.

import { HttpLoad } from '../lab/clients.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import type { SwitchInterface } from '../lab/network.ts';
import { LabNetwork } from '../lab/network.ts';
import { OpenLoad } from '../lab/open-load-client.ts';
import { privileges } from '../lab/privileges.ts';
import { type LabServer, startWebServer } from '../lab/servers.ts';
import { WeirProcess } from '../lab/weir-process.ts';
import { WorkServer, writeKeyFile } from '../lab/work-servers.ts';

const SWITCHING_PROCESSORS = 2;
const SERVERS = 3;
const REPORT_INTERVAL_MS = 200;
const AGENT_PORT = 7360;
const APPLICATION_PORT = 8080;
/** What each application has, of one CPU. */
const APPLICATION_CPU_SHARE = 0.2;
const APPLICATION_SERVICE_PORT = 81;
/** More than the rest could take of a server that is loaded: without feedback its requests would pile up. */
const APPLICATION_RATE = 80;

export interface DemoLab {
  readonly network: LabNetwork;
  readonly servers: readonly LabServer[];
  readonly weir: WeirProcess;
  readonly applications: readonly WorkServer[];
}

/** Who reports how busy the applications are. */
export interface DemoAgents {
  /** Where weir hears them. */
  readonly address: string;
  /** Of each server, in their order. */
  readonly keyFiles: readonly string[];
}

/** The configuration that the demo gives to weir. */
export function demoConfiguration(
  interfaces: readonly Pick<SwitchInterface, 'name' | 'address' | 'prefixLength'>[],
  kind: 'auto' | 'af-packet',
  virtualAddress: string,
  servers: readonly { name: string; address: string }[],
  agents: DemoAgents,
): object {
  const backends = servers.map(({ name, address }) => ({ name, address }));
  return {
    interfaces: interfaces.map(({ name, address, prefixLength }) => ({
      name,
      addresses: [`${address}/${prefixLength}`],
      kind,
    })),
    processors: { switching: SWITCHING_PROCESSORS },
    limits: { connections: 65_536 },
    services: [
      {
        name: 'web',
        address: virtualAddress,
        protocol: 'tcp',
        port: 80,
        backends,
      },
      {
        name: 'app',
        address: virtualAddress,
        protocol: 'tcp',
        port: APPLICATION_SERVICE_PORT,
        load: { source: 'agent' },
        distribution: { algorithm: 'even-load', blackout: '2s', 'slow-start': '2s' },
        backends: backends.map((each) => ({ ...each, port: APPLICATION_PORT })),
      },
    ],
    'resource-manager': {
      listen: { address: agents.address, port: AGENT_PORT },
      agents: servers.map(({ name }, i) => ({
        name,
        'key-file': agents.keyFiles[i],
        backends: [`app/${name}`],
      })),
    },
  };
}

/**
 * Builds everything; weir is ready when it resolves. `tell` is given a line at each step.
 * @throws WeirError ERR_LAB
 */
export async function buildLab(tell: (line: string) => void): Promise<DemoLab> {
  const { bpfProblem } = privileges();
  tell('network: client, switch and three servers, each in a network namespace of its own');
  const network = new LabNetwork({
    backends: SERVERS,
    queues: SWITCHING_PROCESSORS,
    management: true,
  });
  const servers = await Promise.all(network.servers.map((host) => startWebServer(host)));
  const isNginx = servers.every(({ kind }) => kind === 'nginx');
  tell(isNginx ? 'servers: nginx' : "servers: nginx is not installed, so Node's own web server");
  if (bpfProblem !== undefined) tell(`interfaces: AF_PACKET, because ${bpfProblem}`);
  const agents = {
    address: network.managementAddress!,
    keyFiles: network.servers.map(({ name }) => writeKeyFile(name)),
  };
  const config = demoConfiguration(
    network.switchInterfaces,
    bpfProblem === undefined ? 'auto' : 'af-packet',
    network.virtualAddress,
    network.servers,
    agents,
  );
  const weir = await WeirProcess.start(network.switchNamespace, config);
  tell(`weir: ready, ${SWITCHING_PROCESSORS} switching processors`);
  const applications = await startApplications(network, agents);
  tell('applications: Node, each with a fifth of a CPU and a weir agent beside it');
  return { network, servers, weir, applications };
}

function startApplications(network: LabNetwork, agents: DemoAgents): Promise<WorkServer[]> {
  return Promise.all(
    network.servers.map((host, i) => {
      const agent = {
        backend: `app/${host.name}`,
        reportTo: `${agents.address}:${AGENT_PORT}`,
        keyFile: agents.keyFiles[i],
      };
      return WorkServer.start(host, {
        port: APPLICATION_PORT,
        cpuShare: APPLICATION_CPU_SHARE,
        agent,
      });
    }),
  );
}

/**
 * What the client does: connections that stay open and ask again and again, which show whether any
 * breaks; and new ones for each request, which show how they are shared out. With pauses, so that
 * client and servers leave weir some of a small machine.
 */
export class DemoLoad {
  private readonly loads: readonly HttpLoad[];

  constructor({ network }: DemoLab) {
    const common = { host: network.virtualAddress, intervalMs: REPORT_INTERVAL_MS };
    const { client } = network;
    this.loads = [
      new HttpLoad(client, { ...common, mode: 'keep-alive', connections: 24, pauseMs: 10 }),
      new HttpLoad(client, { ...common, mode: 'new', connections: 8, pauseMs: 20 }),
    ];
  }

  /** The newest reports, added up. */
  report(): LoadReport {
    return addReports(this.loads.flatMap(({ latest }) => latest ?? []));
  }

  /** Ends the load; requests on their way are waited for. */
  async stop(): Promise<LoadReport> {
    return addReports(await Promise.all(this.loads.map((load) => load.stop())));
  }
}

/** What the client asks of the applications: at a rate, whatever the answers do. */
export function startApplicationLoad({ network }: DemoLab): OpenLoad {
  const host = network.virtualAddress;
  const port = APPLICATION_SERVICE_PORT;
  return new OpenLoad(network.client, { host, port, rate: APPLICATION_RATE, timeoutMs: 20_000 });
}

/** One report for several clients that ran at the same time. */
export function addReports(reports: readonly LoadReport[]): LoadReport {
  const sum = (pick: (report: LoadReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  const maximum = (pick: (report: LoadReport) => number): number =>
    Math.max(0, ...reports.map(pick));
  return {
    final: reports.every(({ final }) => final),
    elapsedMs: maximum(({ elapsedMs }) => elapsedMs),
    open: sum(({ open }) => open),
    connectionsOpened: sum(({ connectionsOpened }) => connectionsOpened),
    connectErrors: sum(({ connectErrors }) => connectErrors),
    brokenConnections: sum(({ brokenConnections }) => brokenConnections),
    movedConnections: sum(({ movedConnections }) => movedConnections),
    requests: sum(({ requests }) => requests),
    failedRequests: sum(({ failedRequests }) => failedRequests),
    failures: addCounts(reports.map(({ failures }) => failures)),
    perServer: addCounts(reports.map(({ perServer }) => perServer)),
    // Percentiles cannot be added: the worse one is what is told.
    latencyMs: {
      median: maximum(({ latencyMs }) => latencyMs.median),
      p99: maximum(({ latencyMs }) => latencyMs.p99),
      maximum: maximum(({ latencyMs }) => latencyMs.maximum),
    },
    longestSilenceMs: maximum(({ longestSilenceMs }) => longestSilenceMs),
  };
}

function addCounts(all: readonly Record<string, number>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const counts of all) {
    for (const [name, number] of Object.entries(counts)) total[name] = (total[name] ?? 0) + number;
  }
  return total;
}
