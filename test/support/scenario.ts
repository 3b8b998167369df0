// What the scenarios share: each runs on every kind of interface that this machine allows, or on the best
// of them when it is about what stands above interfaces, in front of a configuration made from the
// lab's network, and ends by proving that every packet which came into the switch is accounted for. A
// kind that cannot run here is skipped, and its reason printed.

import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { execute, waitUntil } from '../../src/lab/command.ts';
import type { LabHost, LabNetwork } from '../../src/lab/network.ts';
import { skipReason } from '../../src/lab/privileges.ts';
import type { WeirProcess } from '../../src/lab/weir-process.ts';
import { builtModule } from './built-module.ts';
import type { FixedPortAnswers, FixedPortOptions } from './fixed-port-client.ts';

export type Kind = 'af-xdp' | 'af-packet';

const KINDS: readonly Kind[] = ['af-xdp', 'af-packet'];
const REST_DEADLINE_MS = 5000;

/**
 * Describes a scenario once for each kind of interface.
 * @param programs what must be installed, beside ip and ethtool
 */
export function describeOnKinds(name: string, programs: string[], body: (kind: Kind) => void) {
  for (const kind of KINDS) {
    const needed = ['ip', 'ethtool', ...programs];
    const reason = skipReason({ programs: needed, bpf: kind === 'af-xdp' });
    const title = `${name}, on ${kind}`;
    if (reason !== undefined) process.stdout.write(`${title}: skipped: ${reason}\n`);
    describe.skipIf(reason !== undefined)(title, () => body(kind));
  }
}

/**
 * Describes a scenario for af-xdp, or where that cannot be for af-packet: one of what is the same above
 * every kind of interface. With WEIR_ALL_KINDS in the environment it runs on all of them.
 */
export function describeOnBestKind(name: string, programs: string[], body: (kind: Kind) => void) {
  if (process.env.WEIR_ALL_KINDS) {
    describeOnKinds(name, programs, body);
    return;
  }
  const needed = ['ip', 'ethtool', ...programs];
  const kind = skipReason({ programs: needed, bpf: true }) === undefined ? 'af-xdp' : 'af-packet';
  const reason = skipReason({ programs: needed });
  const title = `${name}, on ${kind}`;
  if (reason !== undefined) process.stdout.write(`${title}: skipped: ${reason}\n`);
  describe.skipIf(reason !== undefined)(title, () => body(kind));
}

export interface SwitchOptions {
  kind: Kind;
  /** Default 1. */
  processors?: number;
  services: object[];
  /** Default 16 384, what three queues on each of two interfaces keep busy. */
  frames?: number;
  /** The processor that polls an interface, by the interface's name. */
  processorOf?: Record<string, number>;
}

/** The configuration of a switch that stands in the lab's network. */
export function switchConfiguration(network: LabNetwork, options: SwitchOptions): object {
  const { kind, processors = 1, services, frames = 16_384, processorOf = {} } = options;
  return {
    interfaces: network.switchInterfaces.map(({ name, address, prefixLength }) => ({
      name,
      kind,
      addresses: [`${address}/${prefixLength}`],
      ...(name in processorOf ? { processor: processorOf[name] } : {}),
    })),
    processors: { switching: processors },
    limits: { connections: 65_536, frames },
    services,
  };
}

/** One line of figures on the terminal. */
export function print(scenario: string, figures: object): void {
  process.stdout.write(`${scenario}: ${JSON.stringify(figures)}\n`);
}

// biome-ignore lint/suspicious/noExplicitAny: the shape is that of control/status-shape.ts as JSON.
type StatusJson = any;

/** Waits until nothing moves any more, and gives the status then. */
async function statusAtRest(weir: WeirProcess): Promise<StatusJson> {
  let status: StatusJson;
  let before = -1;
  await waitUntil(
    'the switch is at rest',
    async () => {
      status = await weir.status();
      const processors: StatusJson[] = status?.processes.switching ?? [];
      const isAtRest =
        status?.totals.received === before &&
        processors.every(({ balance, waiting }) => balance === 0 && waiting === 0);
      before = status?.totals.received ?? -1;
      if (!isAtRest) await new Promise((resolve) => setTimeout(resolve, 50));
      return isAtRest;
    },
    REST_DEADLINE_MS,
    () => JSON.stringify(status?.processes.switching, null, 1),
  );
  return status;
}

/**
 * The invariant: what each switching processor received, it forwarded, dropped, punted or consumed.
 * Nor may a frame have been lost or a process have died. Gives the status, at rest.
 */
export async function expectBalanced(weir: WeirProcess): Promise<StatusJson> {
  const status = await statusAtRest(weir);
  for (const each of status.processes.switching) {
    const { received, forwarded, dropped, punted, consumed, waiting } = each;
    expect(forwarded + dropped + punted + consumed + waiting).toBe(received);
    expect(each).toMatchObject({ state: 'running', restarts: 0, framesReclaimed: 0, balance: 0 });
  }
  return status;
}

/** Asks from each of a range of the client's ports, and tells who answered (fixed-port-client.ts). */
export function askFromPorts(host: LabHost, options: FixedPortOptions): FixedPortAnswers {
  const program = fileURLToPath(builtModule('test/support/fixed-port-client.ts'));
  const { namespace } = host;
  return JSON.parse(
    execute(process.execPath, [program, JSON.stringify(options)], { namespace }).stdout,
  );
}
