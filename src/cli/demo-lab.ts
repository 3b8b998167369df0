// The demo's stage: a client, weir with two switching processors, and three web servers, each in a
// network namespace of its own, joined by virtual cables; and the client's load. Everything is registered
// with lab/clean-up.ts, which takes it away however the demo ends.

import { HttpLoad } from '../lab/clients.ts';
import type { LoadReport } from '../lab/http-load-report.ts';
import type { SwitchInterface } from '../lab/network.ts';
import { LabNetwork } from '../lab/network.ts';
import { privileges } from '../lab/privileges.ts';
import { type LabServer, startWebServer } from '../lab/servers.ts';
import { WeirProcess } from '../lab/weir-process.ts';

const SWITCHING_PROCESSORS = 2;
const SERVERS = 3;
const REPORT_INTERVAL_MS = 200;

export interface DemoLab {
  readonly network: LabNetwork;
  readonly servers: readonly LabServer[];
  readonly weir: WeirProcess;
}

/** The configuration that the demo gives to weir. */
export function demoConfiguration(
  interfaces: readonly Pick<SwitchInterface, 'name' | 'address' | 'prefixLength'>[],
  kind: 'auto' | 'af-packet',
  virtualAddress: string,
  servers: readonly { name: string; address: string }[],
): object {
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
        backends: servers.map(({ name, address }) => ({ name, address })),
      },
    ],
  };
}

/**
 * Builds everything; weir is ready when it resolves. `tell` is given a line at each step.
 * @throws WeirError ERR_LAB
 */
export async function buildLab(tell: (line: string) => void): Promise<DemoLab> {
  const { bpfProblem } = privileges();
  tell('network: client, switch and three servers, each in a network namespace of its own');
  const network = new LabNetwork({ backends: SERVERS, queues: SWITCHING_PROCESSORS });
  const servers = await Promise.all(network.servers.map((host) => startWebServer(host)));
  const isNginx = servers.every(({ kind }) => kind === 'nginx');
  tell(isNginx ? 'servers: nginx' : "servers: nginx is not installed, so Node's own web server");
  if (bpfProblem !== undefined) tell(`interfaces: AF_PACKET, because ${bpfProblem}`);
  const config = demoConfiguration(
    network.switchInterfaces,
    bpfProblem === undefined ? 'auto' : 'af-packet',
    network.virtualAddress,
    network.servers,
  );
  const weir = await WeirProcess.start(network.switchNamespace, config);
  tell(`weir: ready, ${SWITCHING_PROCESSORS} switching processors`);
  return { network, servers, weir };
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
