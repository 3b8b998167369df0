// The claims of shared interfaces on plain memory: what a configuration claims, what stays claimed while
// connections live, and what a control processor finds that another has left. That the XDP program
// understands the table is sys/shared-program.test.ts.

import { afterEach, expect, it } from 'vitest';
import type { MainMemory } from '../memory/region.ts';
import {
  ADDRESS_IS_KERNELS,
  ADDRESS_IS_WEIRS,
  CLAIM_ADDRESS,
  CLAIM_ENDPOINT,
  CLAIM_SERVICE,
  CLAIMS_SIZE,
  claimKey,
  MAX_CLAIMS,
} from '../sys/claims-map.ts';
import { ClaimsTable } from '../sys/claims-table.ts';
import {
  BACKEND_ACTIVE,
  BACKEND_CONNECTIONS,
  backendCounters,
  backendCountersBase,
} from '../tables/connection-backends.ts';
import { formatAddress, PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import { Claims } from './claims.ts';
import { backendKey } from './compile-configuration.ts';
import { parsed, runningMemory, serviceText, takeOver } from './control.harness.ts';
import { Publisher } from './publisher.ts';

const HOST = '10.1.0.1';
const ALONE = '10.1.0.100';

function file(services: readonly string[]): string {
  return [
    'interfaces:',
    `  - { name: ext0, mode: shared, addresses: [${HOST}/24] }`,
    '  - { name: int0, addresses: [10.2.0.1/24] }',
    `services: [${services.join(', ')}]`,
  ].join('\n');
}

const running: Claims[] = [];
afterEach(() => {
  for (const claims of running.splice(0)) claims.stop();
});

class Bench {
  readonly memory: MainMemory = runningMemory();
  readonly map = new ArrayBuffer(CLAIMS_SIZE);
  readonly table = new ClaimsTable(this.map, 0);
  readonly kernels = [parseAddress(HOST), parseAddress('127.0.0.1')];
  publisher = new Publisher(this.memory);
  claims = this.start();

  start(): Claims {
    const claims = new Claims(this.memory, new ClaimsTable(this.map, 0), () => [...this.kernels]);
    running.push(claims);
    return claims;
  }

  async apply(text: string): Promise<void> {
    const configuration = parsed(text);
    await this.publisher.publish(configuration, text);
    takeOver(this.memory);
    await this.claims.follow(configuration, this.publisher);
  }

  connections(backend: string, count: number): void {
    const id = this.publisher.runningIds.backends.get(backend) as number;
    const at = backendCounters(backendCountersBase(this.memory, 0), id);
    this.memory.doubles[at + BACKEND_ACTIVE] = count;
    this.memory.doubles[at + BACKEND_CONNECTIONS] = 1;
  }

  has(kind: number, address: string, port = 0): number | undefined {
    const key = claimKey(kind, port === 0 ? 0 : PROTOCOL_TCP, port);
    const wanted = parseAddress(address);
    const found = this.table.read().find((one) => one.address === wanted && one.key === key);
    return found?.flags;
  }
}

it('claims services, servers and addresses, and knows whose an address is', async () => {
  const bench = new Bench();
  const onHost = serviceText('ssh', 2222, [12]).replace(ALONE, HOST);
  await bench.apply(file([serviceText('web', 80, [11]), onHost]));
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
  expect(bench.has(CLAIM_SERVICE, HOST, 2222)).toBe(0);
  expect(bench.has(CLAIM_SERVICE, HOST, 80)).toBeUndefined();
  expect(bench.has(CLAIM_ADDRESS, ALONE)).toBe(ADDRESS_IS_WEIRS);
  expect(bench.has(CLAIM_ADDRESS, HOST)).toBe(ADDRESS_IS_KERNELS);
  expect(bench.has(CLAIM_ADDRESS, '127.0.0.1')).toBe(ADDRESS_IS_KERNELS);
  const servers = bench.table.read().filter(({ key }) => (key & 0xff) === CLAIM_ENDPOINT);
  expect(servers.map(({ address }) => formatAddress(address)).sort()).toEqual([
    '10.2.0.11',
    '10.2.0.12',
  ]);
});

it('claims no servers with direct server return, whose replies do not come here', async () => {
  const bench = new Bench();
  const text = file([serviceText('web', 80, [11])]);
  await bench.apply(text.replace('protocol: tcp', 'protocol: tcp, forwarding: dsr'));
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
  expect(bench.table.read().some(({ key }) => (key & 0xff) === CLAIM_ENDPOINT)).toBe(false);
});

it('gives back at once what has no connections, and the rest when they have ended', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11]), serviceText('mail', 25, [12])]));
  bench.connections(backendKey('web', 'b11'), 2);
  const web = bench.publisher.runningIds.backends.get(backendKey('web', 'b11')) as number;
  await bench.apply(file([]));
  expect(bench.has(CLAIM_SERVICE, ALONE, 25)).toBeUndefined();
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
  expect(bench.has(CLAIM_ADDRESS, ALONE)).toBe(ADDRESS_IS_WEIRS);
  const at = backendCounters(backendCountersBase(bench.memory, 0), web);
  bench.memory.doubles[at + BACKEND_ACTIVE] = 0;
  await bench.claims.sweep();
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBeUndefined();
  expect(bench.has(CLAIM_ADDRESS, ALONE)).toBeUndefined();
  expect(bench.has(CLAIM_ADDRESS, HOST)).toBe(ADDRESS_IS_KERNELS);
});

it('goes on with what another control processor has claimed', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11]), serviceText('mail', 25, [12])]));
  bench.connections(backendKey('web', 'b11'), 1);
  await bench.apply(file([serviceText('mail', 25, [12])]));
  bench.publisher = new Publisher(bench.memory);
  bench.publisher.adopt(parsed(bench.publisher.runningText() as string));
  bench.claims = bench.start();
  await bench.apply(bench.publisher.runningText() as string);
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
  expect(bench.has(CLAIM_SERVICE, ALONE, 25)).toBe(0);
});

it('follows the addresses of the kernel', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11])]));
  bench.kernels.push(parseAddress(ALONE));
  await bench.claims.sweep();
  expect(bench.has(CLAIM_ADDRESS, ALONE)).toBe(ADDRESS_IS_KERNELS);
  bench.kernels.pop();
  await bench.claims.sweep();
  expect(bench.has(CLAIM_ADDRESS, ALONE)).toBe(ADDRESS_IS_WEIRS);
});

it("claims the control host's addresses, though the kernel has them on its device", async () => {
  const bench = new Bench();
  const own = '10.1.0.9';
  bench.kernels.push(parseAddress(own));
  await bench.apply(`${file([])}\ncontrol: { addresses: [${own}/24] }`);
  expect(bench.has(CLAIM_ADDRESS, own)).toBe(ADDRESS_IS_WEIRS);
  const faulty = `${file([])}\ncontrol: { addresses: [${HOST}/24] }`;
  expect(() => parsed(faulty)).toThrow(/is the kernel's on ext0/);
});

it('claims addresses of applications, and ports that they match on the host’s own', async () => {
  const bench = new Bench();
  const applications = [
    `{ name: echo, module: ./echo.mjs, match: [{ protocol: udp, port: 7 }] }`,
    `{ name: relay, module: ./r.mjs, addresses: [10.1.0.7], match: [{ address: ${HOST}, port: 40-42 }] }`,
    `{ name: net, module: ./n.mjs, match: [{ address: 10.1.0.0/24, port: 9 }, { protocol: icmp }] }`,
  ];
  await bench.apply(`${file([])}\napplications: [${applications.join(', ')}]`);
  const udp = (port: number) => {
    const key = claimKey(CLAIM_SERVICE, PROTOCOL_UDP, port);
    return bench.table.read().some((one) => one.key === key && one.address === parseAddress(HOST));
  };
  expect([7, 9, 39, 40, 42, 43].map(udp)).toEqual([true, false, false, true, true, false]);
  expect(bench.has(CLAIM_SERVICE, HOST, 7)).toBeUndefined();
  expect(bench.has(CLAIM_SERVICE, HOST, 41)).toBe(0);
  expect(bench.has(CLAIM_ADDRESS, '10.1.0.7')).toBe(ADDRESS_IS_WEIRS);
  const relay = `{ interfaces: [{ name: ext, address: ${HOST} }], ports: 30000-30009, ng: { address: 127.0.0.1 } }`;
  await bench.apply(
    `${file([])}\napplications: [{ name: relay, module: media-relay, options: ${relay} }]`,
  );
  expect([29_999, 30_000, 30_009, 30_010, 7].map(udp)).toEqual([false, true, true, false, false]);
});

/** An application that claims so many ports of the host's address. */
function portsText(count: number): string {
  const match = `[{ protocol: tcp, port: 1-${count} }]`;
  return `applications: [{ name: guard, module: ./guard.mjs, match: ${match} }]`;
}

it('says how many claims there are, and how many are of what is configured no longer', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11, 12])]));
  // The two addresses of the kernel, the service's address and port, two servers.
  const all = { inForce: 6, capacity: MAX_CLAIMS, former: 0, refused: 0 };
  expect(bench.claims.status()).toEqual(all);
  bench.connections(backendKey('web', 'b11'), 2);
  await bench.apply(file([]));
  expect(bench.claims.status()).toEqual({ ...all, inForce: 5, former: 3 });
});

it('a configuration whose claims do not fit is refused before it is in force', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11])]));
  bench.connections(backendKey('web', 'b11'), 1);
  // Two addresses of the kernel; service, address and server that connections need yet.
  const most = MAX_CLAIMS - 5;
  const fits = parsed(`${file([])}\n${portsText(most)}`);
  expect(() => bench.claims.check(fits)).not.toThrow();
  const beyond = parsed(`${file([])}\n${portsText(most + 1)}`);
  expect(() => bench.claims.check(beyond)).toThrow(/32768 .* 32769 are wanted/);
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
});

it('claims that do not fit are told of, and tried again until connections make room', async () => {
  const bench = new Bench();
  await bench.apply(file([serviceText('web', 80, [11])]));
  const web = bench.publisher.runningIds.backends.get(backendKey('web', 'b11')) as number;
  bench.connections(backendKey('web', 'b11'), 1);
  const text = `${file([])}\n${portsText(MAX_CLAIMS - 2)}`;
  await expect(bench.apply(text)).rejects.toMatchObject({ code: 'ERR_TABLE_FULL' });
  expect(bench.claims.status()).toMatchObject({ inForce: 5, refused: MAX_CLAIMS + 3 });
  expect(bench.has(CLAIM_SERVICE, ALONE, 80)).toBe(0);
  const at = backendCounters(backendCountersBase(bench.memory, 0), web);
  bench.memory.doubles[at + BACKEND_ACTIVE] = 0;
  await bench.claims.sweep();
  expect(bench.claims.status()).toMatchObject({ inForce: MAX_CLAIMS, former: 0, refused: 0 });
  expect(bench.has(CLAIM_SERVICE, HOST, 1)).toBe(0);
});

it('busy polling with af-packet is a fault that says why', () => {
  const text = file([]).replace('mode: shared,', 'kind: af-packet, busy-poll: {},');
  expect(() => parsed(text)).toThrow(/cannot poll its driver with af-packet/);
  expect(parsed(text.replace('kind: af-packet,', '')).interfaces[0]['busy-poll']).toEqual({
    budget: 64,
  });
});

it('a shared interface that weir should forward from or to is a fault', () => {
  for (const pair of ['from: ext0, to: int0', 'from: int0, to: ext0']) {
    const text = `${file([])}\nforwarding: [{ ${pair} }]`;
    expect(() => parsed(text)).toThrow(/ext0 is shared: what no service claims/);
  }
});

it('a shared interface with af-packet is a fault that says why', () => {
  const text = file([]).replace('mode: shared,', 'mode: shared, kind: af-packet,');
  expect(() => parsed(text)).toThrow(/cannot be shared with af-packet/);
});
