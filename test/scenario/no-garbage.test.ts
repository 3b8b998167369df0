// A warm switching processor leaves no garbage and keeps its code, on real interfaces and in the process
// that runs in production: packets of known connections, as fast as they can be made. All other kinds of
// packets: test/unit/no-garbage.test.ts. With 1 MiB for young objects, four bytes for each packet would
// be a collection; with the 16 MiB that switching processors have, a million packets said less.

import { afterAll, expect, it } from 'vitest';
import { CollectionTrace, traceTimeMs } from '../../src/lab/collections.ts';
import { execute, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startTraffic } from '../../src/lab/traffic.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { builtModule } from '../support/built-module.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const FLOWS = 4096;
const YOUNG_MIB = 1;
const WARM_UP_PACKETS = 500_000;
const PACKETS = 250_000;
const DEADLINE_MS = 100_000;
/**
 * Compiled code came to a branch that nothing had taken before, and is compiled once more with it. When a
 * ring is full for the first time is chance here; the unit test meets everything before it counts.
 */
const FIRST_MEETING = /^Insufficient type feedback/;
const FIRST_MEETINGS_MAX = 10;

// The lab's programs and weir run as they were built.
builtModule('src/lab/packet-generator.ts');

describeOnKinds('packets without garbage', [], (kind) => {
  const network = new LabNetwork({ backends: 1, xdpRedirect: true });
  afterAll(() => network.remove());

  it('neither collects nor throws code away', { timeout: 3 * DEADLINE_MS }, async () => {
    const trace = new CollectionTrace(YOUNG_MIB);
    const [{ name, address }] = network.servers;
    const service = { name: 'sink', address: network.virtualAddress, protocol: 'udp', port: 9 };
    const configuration = {
      ...switchConfiguration(network, {
        kind,
        services: [{ ...service, backends: [{ name, address, port: 9 }] }],
      }),
      routes: [{ to: '10.64.0.0/16', via: network.client.address }],
    };
    const { environment } = trace;
    const weir = await WeirProcess.start(network.switchNamespace, configuration, { environment });
    const external = network.switchInterfaces.find(({ side }) => side === 'external')!;
    if (kind === 'af-packet') {
      // A veth takes frames of an XDP program only while it polls, for which GRO is enough.
      const { switchNamespace: namespace } = network;
      execute('ethtool', ['-K', external.name, 'gro', 'on'], { namespace });
    }
    const load = {
      namespace: network.client.namespace,
      interface: 'eth0',
      destination: network.virtualAddress,
      destinationMac: external.macAddress,
      destinationPort: 9,
      flows: FLOWS,
      seconds: 2,
    };
    const received = async (): Promise<number> => (await weir.status())?.totals.received ?? 0;
    const reach = (packets: number) =>
      waitUntil(
        `${packets} packets have come in`,
        async () => (await received()) >= packets,
        DEADLINE_MS,
      );

    for (let pass = 0; pass < 3; pass += 1) {
      const each = { order: 'sequential', packets: FLOWS, rate: 20_000 } as const;
      await startTraffic({ ...load, ...each, seconds: 1 }).report;
    }
    let isEnough = false;
    const goOn = async (): Promise<void> => {
      while (!isEnough) await startTraffic(load).report;
    };
    const traffic = goOn();
    await reach(WARM_UP_PACKETS);
    const from = await received();
    const fromMs = traceTimeMs();
    const compiledAnew = trace.deoptimisations().length;
    await reach(from + PACKETS);
    const toMs = traceTimeMs();
    const deoptimisations = trace.deoptimisations().slice(compiledAnew);
    const packets = (await received()) - from;
    isEnough = true;
    await traffic;
    await expectBalanced(weir);
    await weir.stop();

    const collections = trace.collections(weir.log(), fromMs, toMs);
    print('no garbage', {
      kind,
      packets,
      collections,
      deoptimisations,
      milliseconds: Math.round(toMs - fromMs),
    });
    // It was traced: there are always collections while a process starts.
    expect(trace.collections(weir.log(), 0, toMs)).not.toEqual([]);
    expect(trace.processes).toBe(1);
    expect(collections).toEqual([]);
    expect(deoptimisations.filter(({ reason }) => !FIRST_MEETING.test(reason))).toEqual([]);
    expect(deoptimisations.length).toBeLessThan(FIRST_MEETINGS_MAX);
  });
});
