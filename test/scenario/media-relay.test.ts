// Internet telephony with everything real: callers and called (sipp, which plays its recorded sound and echoes
// it), a Kamailio between them, and its rtpengine module, which has the media sent through weir first and then,
// in the same run, through Debian's rtpengine in user space. 100 calls at once; no packet may be lost; what
// each relay adds in delay and jitter is printed side by side, from captures on both sides of it.

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { decode } from '../../src/call-control/bencode.ts';
import { startCapture } from '../../src/lab/capture.ts';
import { cleanAll } from '../../src/lab/clean-up.ts';
import { findProgram, waitUntil } from '../../src/lab/command.ts';
import { type LabHost, LabNetwork } from '../../src/lab/network.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { sleep } from '../support/killed-switch.ts';
import { MediaTalk, NgCall } from '../support/media-calls.ts';
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
import { CALLS_PER_SECOND, EDGE_INTERNAL, NG_PORT, Telephony } from '../support/telephony.ts';

const CALLS = 100;
/** The sound has 3.6 s, and comes late on a busy machine. */
const HOLD_MS = 5000;
const FAXES = 10;
/** The fax has 3 s. */
const FAX_HOLD_MS = 4000;
/** Few, so that an attacker is soon through with them. */
const PORTS = [30_000, 31_998] as const;

describeOnBestKind('telephony', ['kamailio', 'sipp', 'dumpcap', 'nft'], (kind) => {
  let network: LabNetwork;
  let telephony: Telephony;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ clients: 3, backends: 1, management: true });
    const [external, internal] = network.switchInterfaces;
    const ng = { address: network.managementAddress, port: NG_PORT, allow: [EDGE_INTERNAL] };
    const interfaces = [
      { name: 'external', address: external.address },
      { name: 'internal', address: internal.address },
    ];
    // The attacker is there before the parties for longer than that.
    const window = { 'latch-window': '200ms' };
    const options = { ...window, interfaces, ports: `${PORTS[0]}-${PORTS[1] + 1}`, ng };
    telephony = new Telephony(network);
    const configuration = {
      ...switchConfiguration(network, { kind, services: [] }),
      applications: [{ name: 'telephony', module: 'media-relay', options }],
    };
    // Kamailio asks for its relays once when it begins.
    [weir] = await Promise.all([
      WeirProcess.start(network.switchNamespace, configuration),
      findProgram('rtpengine') === undefined ? undefined : telephony.startRtpengine(),
    ]);
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

  /** Sends to a port of the relay, from a port of its own on. */
  function talk(host: LabHost, port: number, ssrc: number, to: number, more = {}): MediaTalk {
    const address = network.switchInterfaces[0].address;
    return new MediaTalk(host, { port, ssrc, to: address, first: to, last: to, ...more });
  }

  /** Waits until both hear each other, and lets them talk on. What they and the attacker hear from then on. */
  async function conversation(bob: MediaTalk, alice: MediaTalk, attacker: MediaTalk) {
    const heard = () => `${JSON.stringify([alice.heard(), bob.heard(), attacker.heard()])}`;
    const areTalking = () => alice.hears(bob) && bob.hears(alice);
    await waitUntil('the parties hear each other', areTalking, 20_000, heard);
    // What the relay sent elsewhere before is read there in a moment.
    await sleep(200);
    const counts = [alice, bob, attacker].map(({ count }) => count);
    await sleep(400);
    const ofBob = alice.heard(counts[0], bob);
    const ofAlice = bob.heard(counts[1], alice);
    expect(alice.heard(counts[0])).toEqual(ofBob);
    expect(bob.heard(counts[1])).toEqual(ofAlice);
    expect(attacker.heard(counts[2])).toEqual({ rtp: 0, rtcp: 0 });
    for (const { rtp, rtcp } of [ofBob, ofAlice]) expect(Math.min(rtp, rtcp)).toBeGreaterThan(10);
  }

  it('keeps calls from who sprays all its ports', { timeout: 60_000 }, async () => {
    const [alice, bob, mallory] = network.clients;
    const ask = (request: string) => telephony.ask(network.managementAddress as string, request);
    const attacker = talk(mallory, 43_000, 666, PORTS[0], { last: PORTS[1] });
    const call = new NgCall(ask, 'attacked', ['trust-address'], []);
    const b = call.describe('offer', alice.address, 41_000);
    // The telephone rings, and the called's port is known to who guesses.
    await waitUntil('the attacker is heard', () => call.statistics('B').packets > 10, 10_000);
    expect(call.statistics('A').packets).toBe(0);
    const a = call.describe('answer', bob.address, 42_000);
    const first = talk(bob, 42_000, 2, b);
    const caller = talk(alice, 41_000, 1, a, { skipEvery: 10 });
    await conversation(first, caller, attacker);
    const { packets, errors, 'packets lost': lost } = call.statistics('A');
    expect(errors).toBeGreaterThan(0);
    // One of ten was not sent, and the attacker's own numbers do not count.
    expect(lost / (packets + lost)).toBeGreaterThan(0.05);
    expect(lost / (packets + lost)).toBeLessThan(0.15);

    // The called goes on with another telephone, and says so.
    await first.stop();
    call.describe('offer', alice.address, 41_000);
    expect(call.describe('answer', bob.address, 45_000)).toBe(a);
    const second = talk(bob, 45_000, 3, b);
    await conversation(second, caller, attacker);
    await Promise.all([second.stop(), caller.stop()]);
    call.end();

    const strict = new NgCall(ask, 'strict', ['strict-source'], ['a=rtcp-mux']);
    const toBob = strict.describe('offer', alice.address, 46_000);
    await sleep(300);
    const toAlice = strict.describe('answer', bob.address, 47_000);
    const heard = attacker.count;
    const isMuxed = true;
    const parties = [
      talk(bob, 47_000, 4, toBob, { isMuxed }),
      talk(alice, 46_000, 5, toAlice, { isMuxed }),
    ];
    await conversation(parties[0], parties[1], attacker);
    expect(attacker.heard(heard)).toEqual({ rtp: 0, rtcp: 0 });
    for (const party of parties) expect(party.heard(0, attacker)).toEqual({ rtp: 0, rtcp: 0 });
    await Promise.all([attacker, ...parties].map((each) => each.stop()));
    strict.end();
    await expectBalanced(weir);
  });
});
