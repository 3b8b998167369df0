// Internet telephony with everything real: callers and called (sipp, which plays its recorded sound and echoes
// it), a Kamailio between them, and its rtpengine module, which has the media sent through weir first and then,
// in the same run, through Debian's rtpengine in user space. 100 calls at once; no packet may be lost; what
// each relay adds in delay and jitter is printed side by side, from captures on both sides of it.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { decode } from '../../src/call-control/bencode.ts';
import { startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { findProgram, waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { sleep } from '../support/killed-switch.ts';
import { measureRelay, type RelayFigures } from '../support/media-capture.ts';
import {
  describeOnBestKind,
  expectBalanced,
  print,
  switchConfiguration,
} from '../support/scenario.ts';
import {
  FAX_PACKETS,
  type Media,
  type RelayName,
  SOUND_PACKETS,
} from '../support/sip-scenarios.ts';
import { CALLS_PER_SECOND, NG_PORT, Telephony } from '../support/telephony.ts';

const CALLS = 100;
/** The sound has 7.05 s, and comes late on a busy machine. */
const HOLD_MS = 9000;
const FAXES = 10;
/** The fax has 3 s. */
const FAX_HOLD_MS = 4000;

describeOnBestKind('telephony', ['kamailio', 'sipp', 'dumpcap', 'nft'], (kind) => {
  let network: LabNetwork;
  let telephony: Telephony;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ clients: 2, backends: 1, management: true });
    const [external, internal] = network.switchInterfaces;
    const ng = { address: network.managementAddress, port: NG_PORT };
    const interfaces = [
      { name: 'external', address: external.address },
      { name: 'internal', address: internal.address },
    ];
    const options = { interfaces, ports: '30000-39999', ng };
    weir = await WeirProcess.start(network.switchNamespace, {
      ...switchConfiguration(network, { kind, services: [] }),
      applications: [{ name: 'telephony', module: 'media-relay', options }],
    });
    telephony = new Telephony(network);
    if (findProgram('rtpengine') !== undefined) await telephony.startRtpengine();
    await telephony.startKamailio(network.managementAddress as string);
    telephony.startCalled();
  });

  afterEach((context) => {
    if (context.task.result?.state !== 'fail') return;
    process.stdout.write(`${weir.logEnd(40)}\n${telephony.logs()}\n`);
  });

  afterAll(() => cleanAll());

  /** All calls by one relay, from the first INVITE to the last BYE. */
  async function callBy(relay: RelayName, media: Media): Promise<RelayFigures> {
    const { caller, called } = telephony.hosts;
    const captures = await Promise.all(
      [caller, called].map(({ namespace }) => startCapture(namespace, 'eth0', 'udp')),
    );
    const [count, holdMs] = media === 'sound' ? [CALLS, HOLD_MS] : [FAXES, FAX_HOLD_MS];
    const calls = telephony.startCalls(relay, media, count, holdMs);
    expect(await calls.exited).toBe(0);
    await Promise.all(captures.map((capture) => capture.stop()));
    expect(captures.map(({ dropped }) => dropped)).toEqual([0, 0]);
    return measureRelay(captures[0].file, captures[1].file);
  }

  function answer(request: string): Map<string, unknown> {
    const text = telephony.ask(network.managementAddress as string, request);
    return decode(Buffer.from(text, 'latin1')) as Map<string, unknown>;
  }

  /** Waits until the relay has so many calls at once. */
  async function untilThereAre(count: number): Promise<void> {
    let most = 0;
    // Asking costs CPU time that the figures would show: not before they can be there.
    await sleep((count / CALLS_PER_SECOND) * 1000 + 500);
    await waitUntil(
      `${count} calls are there at once`,
      async () => {
        await sleep(200);
        const ids = answer('d7:command4:list5:limiti1000ee').get('calls') as string[];
        most = Math.max(most, ids.length);
        return most === count;
      },
      30_000,
      () => `${most} calls`,
    );
  }

  it('relays 100 calls at once and loses no packet', { timeout: 90_000 }, async () => {
    const [figures] = await Promise.all([callBy('weir', 'sound'), untilThereAre(CALLS)]);
    print('telephony, weir', figures);
    expect(figures).toMatchObject({ streams: 2 * CALLS, lost: 0, strange: 0 });
    expect(figures.sentByCallers).toBeGreaterThan(CALLS * SOUND_PACKETS * 0.9);
    // Kamailio has ended them all.
    expect(answer('d7:command4:liste').get('calls')).toEqual([]);
    await expectBalanced(weir);
    if (findProgram('rtpengine') === undefined) {
      print('telephony', { rtpengine: 'not installed: no comparison' });
      return;
    }
    const theirs = await callBy('rtpengine', 'sound');
    print('telephony, rtpengine', theirs);
    expect(theirs.streams).toBe(2 * CALLS);
  });

  it('relays fax, and calls outlive the control processor', { timeout: 60_000 }, async () => {
    const faxes = callBy('weir', 'fax');
    await untilThereAre(FAXES);
    await sleep(1500);
    weir.kill('SIGKILL', 'control');
    const figures = await faxes;
    print('fax, weir', figures);
    expect(figures).toMatchObject({ streams: 2 * FAXES, lost: 0, strange: 0 });
    expect(figures.sentByCallers).toBeGreaterThan(FAXES * FAX_PACKETS * 0.9);
    // The next control processor has found them by name, so that Kamailio could end them.
    expect(answer('d7:command4:liste').get('calls')).toEqual([]);
    await expectBalanced(weir);
  });
});
