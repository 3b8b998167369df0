// What the part 'flip' does to a contender that can take up a new configuration while it runs: start it
// with many services, replace them, and for weir also have a file parsed and refused. One adapter for
// weir and one for nftables; the traffic that runs meanwhile knows nothing of either.

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { stringify } from 'yaml';
import { WeirError } from '../../../src/base/errors.ts';
import { callAdmin } from '../../../src/control/admin-client.ts';
import type { ReloadResult } from '../../../src/control/reload.ts';
import { execute } from '../../../src/lab/command.ts';
import { WeirProcess } from '../../../src/lab/weir-process.ts';
import { type BenchNetwork, CONTENDER_CPU, LOAD_CPU } from '../bench-network.ts';
import type { Contender, Wanted } from '../contender.ts';
import { nftablesRules } from '../contenders/nftables.ts';
import { weirConfiguration } from '../contenders/weir.ts';
import { type ManyService, manyServices, servicesText } from './many-services.ts';

export interface Flippable {
  /** To be started in place of the contender that it was made of. */
  readonly contender: Contender;
  /** Puts the next variant into force; it is, when this resolves. */
  replace(): Promise<void>;
  /** Reads, parses and checks as `replace` does and changes nothing; undefined where there is no such thing. */
  readonly refuse?: () => Promise<void>;
}

/** With a CPU to spare neither the switch nor generator and receiver feel the control processor. */
function otherCpu(): number {
  const last = availableParallelism() - 1;
  return last > CONTENDER_CPU ? last : LOAD_CPU;
}

/** What belongs to no CPU under test goes to another, with all its threads. */
function placeOthers(weir: WeirProcess): void {
  for (const [role, pid] of weir.pids()) {
    if (role.startsWith('switching')) continue;
    execute('taskset', ['-a', '-c', '-p', String(otherCpu()), String(pid)], { mayFail: true });
  }
}

function servicesFor(
  network: BenchNetwork,
  wanted: Wanted,
  count: number,
  variant: number,
): ManyService[] {
  const servers = network.servers.map(({ address }) => address);
  const { virtualAddress } = network;
  return manyServices({ virtualAddress, port: wanted.port, servers, count, variant });
}

function kindOf({ name }: Contender): 'af-xdp' | 'af-packet' | undefined {
  if (name === 'weir-af-xdp') return 'af-xdp';
  return name === 'weir-af-packet' ? 'af-packet' : undefined;
}

/** weir with so many services. */
class FlippableWeir implements Flippable {
  readonly contender: Contender;
  readonly #kind: 'af-xdp' | 'af-packet';
  readonly #count: number;
  #weir: WeirProcess | undefined;
  /** What a file says: of this variant, or of one that weir must refuse. */
  #text: (variant: number, isRefused: boolean) => string = () => '';
  #variant = 0;

  constructor(contender: Contender, kind: 'af-xdp' | 'af-packet', count: number) {
    this.#kind = kind;
    this.#count = count;
    this.contender = {
      ...contender,
      start: (network, wanted) => this.#start(network, wanted),
    };
  }

  async #start(network: BenchNetwork, wanted: Wanted) {
    const { services: _, ...common } = weirConfiguration(network, this.#kind, wanted) as {
      services: unknown;
      limits: { connections: number };
    };
    const services = (variant: number) => servicesFor(network, wanted, this.#count, variant);
    this.#text = (variant, isRefused) => {
      const { limits } = common;
      // Limits are fixed at start: the file is read to its end and then refused.
      const more = isRefused ? { limits: { ...limits, connections: limits.connections + 2 } } : {};
      return `${stringify({ ...common, ...more })}${servicesText(services(variant))}`;
    };
    const undoes: (() => void)[] = [];
    const leavePolling = () => {
      for (const undo of undoes) undo();
    };
    try {
      const weir = await WeirProcess.start(network.switchNamespace, {
        ...common,
        services: services(0),
      });
      this.#weir = weir;
      // Only AF_XDP's own program makes the interfaces take what another XDP program has sent; and weir
      // itself turns GRO off on those that it opens by AF_PACKET.
      if (this.#kind === 'af-packet') {
        for (const end of network.switchEnds) undoes.push(network.acceptRedirected(end));
      }
      placeOthers(weir);
      await network.waitUntilReachable(network.virtualAddress);
      return {
        target: network.serviceTarget(wanted.port),
        processes: () => [...weir.pids()].map(([name, pid]) => ({ pid, name: `weir: ${name}` })),
        stop: async () => {
          await weir.stop();
          leavePolling();
        },
      };
    } catch (error) {
      leavePolling();
      throw error;
    }
  }

  async #reload(text: string): Promise<ReloadResult> {
    const weir = this.#weir as WeirProcess;
    writeFileSync(weir.configFile, text);
    return (await callAdmin(weir.socketPath, 'POST', '/v1/reload')).body as ReloadResult;
  }

  replace = async (): Promise<void> => {
    this.#variant += 1;
    const result = await this.#reload(this.#text(this.#variant, false));
    if (result.applied) return;
    const why = result.refused ?? result.faults[0]?.message ?? 'no reason given';
    throw new WeirError('ERR_LAB', `a reload was refused: ${why}`, '');
  };

  refuse = async (): Promise<void> => {
    const { applied } = await this.#reload(this.#text(this.#variant + 1, true));
    if (applied) throw new WeirError('ERR_LAB', 'a reload was not refused that should be', '');
  };
}

/** One transaction that takes the table away and makes it anew. */
export function nftablesReplacement(services: readonly ManyService[], table: string): string {
  const rules = services.map(({ address, protocol, port, backends }) => {
    const list = backends.map((each, i) => `${i} : ${each.address}`).join(', ');
    const server = `numgen inc mod ${backends.length} map { ${list} }`;
    return `    ip daddr ${address} ${protocol} dport ${port} dnat to ${server}`;
  });
  return [
    `table ip ${table} {}`,
    `delete table ip ${table}`,
    `table ip ${table} {`,
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    ...rules,
    '  }',
    '}',
    '',
  ].join('\n');
}

function flippableNftables(contender: Contender, count: number): Flippable {
  let variant = 0;
  let replaceNow = (): void => {};
  return {
    contender: {
      ...contender,
      start: async (network, wanted) => {
        const running = await contender.start(network, wanted);
        const table = /^table ip (\w+)/.exec(nftablesRules('', [''], wanted))?.[1] as string;
        const namespace = network.switchNamespace;
        replaceNow = () => {
          variant += 1;
          const services = servicesFor(network, wanted, count, variant);
          const input = nftablesReplacement(services, table);
          execute('taskset', ['-c', String(otherCpu()), 'nft', '-f', '-'], { namespace, input });
        };
        replaceNow();
        return running;
      },
    },
    replace: async () => replaceNow(),
  };
}

/** A contender whose configuration of `count` services can be replaced; undefined for all others. */
export function flippable(contender: Contender, count: number): Flippable | undefined {
  const kind = kindOf(contender);
  if (kind !== undefined) return new FlippableWeir(contender, kind, count);
  return contender.name === 'nftables' ? flippableNftables(contender, count) : undefined;
}
