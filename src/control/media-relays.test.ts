// Goal: control parts of media relays come, go and change with the configuration, and calls outlive all of it
// but a change of ports.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sdpOf } from '../../test/support/ng-relay.ts';
import type { ApplicationPlan } from '../base/application-plan.ts';
import { encode } from '../call-control/bencode.ts';
import { plainMainMemory } from '../memory/region.ts';
import { MediaRelays } from './media-relays.ts';

let port = 0;
let messages: string[] = [];
let relays: MediaRelays;
let memory: ReturnType<typeof plainMainMemory>;
let asked = 0;

function makeRelays(): MediaRelays {
  const say = (message: string) => void messages.push(message);
  return new MediaRelays(memory, { info: say, warning: say });
}

beforeEach(async () => {
  memory = plainMainMemory({ connections: 1024, frames: 256, processors: 1 });
  messages = [];
  relays = makeRelays();
  const probe = createSocket('udp4').bind(0, '127.0.0.1');
  await once(probe, 'listening');
  port = probe.address().port;
  probe.close();
});

afterEach(() => relays.stop());

function plan(more: object = {}, module = 'media-relay'): ApplicationPlan {
  const options = {
    interfaces: [{ name: 'external', address: '10.1.0.1' }],
    ports: '30000-30999',
    ng: { address: '127.0.0.1', port },
    ...more,
  };
  return { name: 'telephony', slot: 0, module, options } as unknown as ApplicationPlan;
}

/** @returns the answer, or '' when there is none */
async function ask(keys: Record<string, string>): Promise<string> {
  const asker = createSocket('udp4');
  asker.connect(port, '127.0.0.1');
  await once(asker, 'connect');
  asked += 1;
  const answer = once(asker, 'message').then(([bytes]) => String(bytes));
  asker.send(`${asked} ${encode(keys)}`);
  // Nobody listens: the kernel says so at once.
  const text = await answer.catch(() => '');
  asker.close();
  return text.slice(String(asked).length + 1);
}

const offer = () =>
  ask({ command: 'offer', 'call-id': 'c', 'from-tag': 'A', sdp: sdpOf('192.0.2.1', 4000) });
const list = () => ask({ command: 'list' });
const HAS_CALL = 'd5:callsl1:ce6:result2:oke';
const HAS_NONE = 'd5:callsle6:result2:oke';

describe('the control parts of media relays', () => {
  it('follow the configuration, and leave alone what has not changed', async () => {
    await relays.follow([plan()]);
    expect(await offer()).toContain('6:result2:ok');
    const before = messages.length;
    await relays.follow([plan(), plan({}, 'dns')]);
    expect(messages).toHaveLength(before);
    expect(await list()).toBe(HAS_CALL);

    await relays.follow([plan({ timeout: '30s' })]);
    expect(messages.slice(before)).toContain('the media relay goes on with 1 calls');
    expect(await list()).toBe(HAS_CALL);

    await relays.follow([plan({ ports: '40000-40999' })]);
    expect(await list()).toBe(HAS_NONE);

    await relays.follow([]);
    expect(await list()).toBe('');
  });

  it('are taken over by the next control processor', async () => {
    await relays.follow([plan()]);
    await offer();
    relays.stop();
    relays = makeRelays();
    await relays.follow([plan()]);
    expect(await list()).toBe(HAS_CALL);
  });

  it('end calls of which nothing is heard', async () => {
    await relays.follow([plan({ timeout: '1s' })]);
    await offer();
    expect(await list()).toBe(HAS_CALL);
    await expect.poll(list, { timeout: 20_000, interval: 200 }).toBe(HAS_NONE);
    expect(messages).toContain('the media relay has ended 1 calls without media');
  });
});
