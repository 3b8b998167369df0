// Two network channels on each side (Fig. 1), and two switching processors that each poll one
// interface of either side: every receive queue has one reader, but both may send anywhere (A4). A
// service whose servers are on the other channel makes every frame of its connections cross from one
// processor to the other, both ways. They must arrive, and the frames must come home: several times as
// many packets go as there are frames.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { curl, HttpLoad } from '../../src/lab/clients.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import {
  describeOnKinds,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';

const PROCESSORS = 2;
const PROCESSOR_OF = { ext0: 0, int0: 0, ext1: 1, int1: 1 };
const FRAMES = 4096;
const STRAIGHT_PORT = 81;
const REQUESTS = 3000;
const ROUNDS = 3;
/** More than all the ARP frames that the switch itself sends meanwhile. */
const ARP_FRAMES = 20;

type Numbers = Record<string, number>;

describeOnKinds('two channels on each side', ['nginx', 'curl'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 2, channels: 2 });
    await Promise.all(network.servers.map((host) => startNginx(host, { port: 8080 })));
    const backends = (channel: number) =>
      network.servers.map(({ name, addresses }) => ({
        name,
        address: addresses[channel],
        port: 8080,
      }));
    const services = network.virtualAddresses.flatMap((address, channel) => {
      const common = { address, protocol: 'tcp' };
      const other = 1 - channel;
      return [
        { ...common, name: `crossing-${channel}`, port: 80, backends: backends(other) },
        {
          ...common,
          name: `straight-${channel}`,
          port: STRAIGHT_PORT,
          backends: backends(channel),
        },
      ];
    });
    const config = switchConfiguration(network, {
      kind,
      processors: PROCESSORS,
      processorOf: PROCESSOR_OF,
      frames: FRAMES,
      services,
    });
    weir = await WeirProcess.start(network.switchNamespace, config);
  });

  afterEach((context) => {
    if (context.task.result?.state === 'fail') process.stdout.write(`${weir.logEnd()}\n`);
  });

  afterAll(() => cleanAll());

  /** Requests over both channels at once; none may fail. */
  async function load(port: number): Promise<void> {
    const options = { port, connections: 10, requests: REQUESTS, mode: 'new' } as const;
    const loads = network.virtualAddresses.map((host) =>
      new HttpLoad(network.client, { ...options, host }).finished(),
    );
    for (const report of await Promise.all(loads)) {
      expect(report.failures).toEqual({});
      expect(report).toMatchObject({ requests: REQUESTS, failedRequests: 0, connectErrors: 0 });
      expect(report.perServer).toEqual({ b1: REQUESTS / 2, b2: REQUESTS / 2 });
    }
  }

  const processorsNow = async (): Promise<Numbers[]> =>
    (await expectBalanced(weir)).processes.switching;

  const sumOf = (processors: Numbers[], field: string): number =>
    processors.reduce((sum, each) => sum + each[field], 0);

  it('has each interface polled by its own processor', async () => {
    const { interfaces } = await weir.status();
    const polledBy = interfaces.map(
      ({ name, queues }: { name: string; queues: { processor: number }[] }) => [
        name,
        queues.map(({ processor }) => processor),
      ],
    );
    const wanted = Object.entries(PROCESSOR_OF).map(([name, processor]) => [name, [processor]]);
    expect(Object.fromEntries(polledBy)).toEqual(Object.fromEntries(wanted));
  });

  it('keeps with one processor what comes and goes on its own interfaces', async () => {
    for (const address of network.virtualAddresses) {
      const answer = curl(network.client, `http://${address}:${STRAIGHT_PORT}/`);
      expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    }
    const [first, second] = await processorsNow();
    for (const each of [first, second]) {
      expect(each.forwarded).toBeGreaterThan(8);
      expect(each).toMatchObject({ handedOver: 0, takenOver: 0 });
    }
  });

  it('carries connections whose every frame crosses, for more packets than frames', async () => {
    let before = await processorsNow();
    for (let round = 1; round <= ROUNDS; round += 1) {
      await load(80);
      const now = await processorsNow();
      const crossed = now.map((each, index) => each.handedOver - before[index].handedOver);
      const forwarded = now.map((each, index) => each.forwarded - before[index].forwarded);
      for (const [index, count] of crossed.entries()) {
        // Whatever a processor forwarded, the other one has sent; its own ARP frames cross as well.
        expect(count - forwarded[index]).toBeGreaterThanOrEqual(0);
        expect(count - forwarded[index]).toBeLessThan(ARP_FRAMES);
        expect(count).toBeGreaterThan(2 * FRAMES);
        expect(now[1 - index].takenOver).toBe(now[index].handedOver);
      }
      print(`channels on ${kind}`, { round, crossed });
      before = now;
    }
  });

  it('still has its frames for everything else', async () => {
    const before = sumOf(await processorsNow(), 'handedOver');
    await load(STRAIGHT_PORT);
    const status = await expectBalanced(weir);
    const after = status.processes.switching;
    expect(sumOf(after, 'takenOver')).toBe(sumOf(after, 'handedOver'));
    // Nothing but ARP may have crossed meanwhile.
    expect(sumOf(after, 'handedOver') - before).toBeLessThan(ARP_FRAMES);
    expect(status.totals.verdicts.dropped).toBe(0);
    print(`channels on ${kind}`, {
      received: after.map(({ received }: Numbers) => received),
      handedOver: after.map(({ handedOver }: Numbers) => handedOver),
      takenOver: after.map(({ takenOver }: Numbers) => takenOver),
    });
  });
});
