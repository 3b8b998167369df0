// BIRD 2 in a namespace of the lab: two of them speak BGP, one of which puts what it learns into its kernel.
// Each has a configuration and a control socket of its own.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeScratchFolder } from '../../src/lab/clean-up.ts';
import { execute, type LabProcess, start, waitUntil } from '../../src/lab/command.ts';

export interface BirdNeighbor {
  readonly address: string;
  readonly as: number;
}

export interface BirdOptions {
  readonly namespace: string;
  /** Its own address, and its number. */
  readonly address: string;
  readonly as: number;
  readonly neighbors: readonly BirdNeighbor[];
  /** Networks that it announces. */
  readonly announces?: readonly string[];
  /** It puts what it learns into the kernel's main table. Default false. */
  readonly fillsKernel?: boolean;
}

const ESTABLISHED_WITHIN_MS = 30_000;

export class Bird {
  private readonly process: LabProcess;
  private readonly socket: string;
  private readonly namespace: string;

  constructor(options: BirdOptions) {
    const folder = makeScratchFolder('bird');
    this.namespace = options.namespace;
    this.socket = join(folder, 'bird.ctl');
    const file = join(folder, 'bird.conf');
    writeFileSync(file, configuration(options));
    const args = ['-f', '-c', file, '-s', this.socket, '-P', join(folder, 'bird.pid')];
    const logFile = join(folder, 'bird.log');
    this.process = start('bird', args, { namespace: options.namespace, logFile });
  }

  /** Waits until it speaks with so many neighbors. */
  async established(count: number): Promise<void> {
    await waitUntil(
      `BIRD has ${count} sessions`,
      () => (this.ask('show protocols').match(/\bEstablished\b/g) ?? []).length >= count,
      ESTABLISHED_WITHIN_MS,
      () => `${this.ask('show protocols')}\n${this.process.log()}`,
    );
  }

  /** What birdc answers. */
  ask(command: string): string {
    const { namespace } = this;
    const args = ['-s', this.socket, ...command.split(' ')];
    return execute('birdc', args, { namespace, mayFail: true }).stdout;
  }

  async stop(): Promise<void> {
    await this.process.stop();
  }
}

function configuration(options: BirdOptions): string {
  const { address, as, neighbors, announces = [], fillsKernel = false } = options;
  const routes = announces.map((network) => `  route ${network} unreachable;`).join('\n');
  const kernel = `protocol kernel {
  ipv4 { import none; export where source = RTS_BGP; };
  merge paths yes;
  metric 32;
}`;
  const peers = neighbors.map(
    (neighbor, i) => `protocol bgp peer${i} {
  local ${address} as ${as};
  neighbor ${neighbor.address} as ${neighbor.as};
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  hold time 6;
  ipv4 { import all; export where source = RTS_STATIC; next hop self; };
}`,
  );
  return `router id ${address};
protocol device { scan time 1; }
${fillsKernel ? kernel : ''}
protocol static {
  ipv4;
${routes}
}
${peers.join('\n')}
`;
}
