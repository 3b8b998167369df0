// Goal: the examples of network applications do what they say, are short, and are typed.
// Method: the files themselves, loaded as a user's are, on a bench of a whole switch.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planOf, runApplications, serviceAt, shareOf } from '../support/application-bench.ts';
import { decodeFrame } from '../support/packet-fields.ts';
import { filesBelow, readText, TOP } from '../support/source-text.ts';
import { SwitchBench, VIP } from '../support/switch-bench.ts';
import { fromClient, request, SYN } from '../support/switch-packets.ts';

const FILES = filesBelow('examples/applications', '.mjs');
const module = (name: string) => join(TOP, 'examples', 'applications', `${name}.mjs`);

describe('examples', () => {
  it.each(FILES)('%s has at most 60 lines', (path) => {
    expect(readText(path).trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  });

  it('are typed by what weir/application says', () => {
    const options = ['--ignoreConfig', '--noEmit', '--allowJs', '--checkJs', '--strict'];
    options.push('--module', 'nodenext', '--target', 'es2023', '--skipLibCheck', '--types', 'node');
    const compiler = join(TOP, 'node_modules', 'typescript', 'bin', 'tsc');
    const args = [compiler, ...options, ...FILES];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: TOP, encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});

describe('udp-echo', () => {
  it('answers with what it was sent, but not to low ports', async () => {
    const bench = await SwitchBench.create();
    await runApplications(bench, planOf({ module: module('udp-echo'), options: { port: 7777 } }));
    const datagram = (sourcePort: number) =>
      fromClient({ destination: '10.1.0.1' })
        .udp({ sourcePort, destinationPort: 7777 })
        .payload('hello');
    const { reasons, sent } = bench.pass(datagram(4000));
    expect(reasons).toEqual(['app-replied']);
    expect(decodeFrame(sent[0].bytes)).toMatchObject({
      ipv4: { source: '10.1.0.1', destination: '10.1.0.10', headerChecksumValid: true },
      udp: { sourcePort: 7777, destinationPort: 4000, checksumValid: true },
      payload: '68 65 6c 6c 6f',
    });
    expect(bench.pass(datagram(7)).reasons).toEqual(['app-dropped']);
    expect(shareOf(bench).namedCounters()).toEqual({ 'from a low port': 1 });
  });
});

describe('port-knocking', () => {
  const KNOCKS = [7010, 7200, 7150];

  async function guarded() {
    const bench = await SwitchBench.create();
    const options = { port: 80, knocks: KNOCKS, 'open-seconds': 30 };
    const match = [
      { protocol: 'tcp', port: 80 },
      { protocol: 'udp', port: [7000, 7999] },
    ] as const;
    const name = module('port-knocking');
    await runApplications(bench, planOf({ module: name, options, match, whenOff: 'drop' }));
    const knock = (port: number) =>
      bench.pass(fromClient().udp({ sourcePort: 4000, destinationPort: port }).payload('x'));
    let port = 40_000;
    const connect = () => bench.pass(request({ ...SYN, sourcePort: port++ })).reasons[0];
    return { bench, knock, connect };
  }

  it('lets in who knocks rightly, and stays in, for a while', async () => {
    const { bench, knock, connect } = await guarded();
    expect(connect()).toBe('app-dropped');
    for (const port of KNOCKS) expect(knock(port)).toEqual({ reasons: ['app-dropped'], sent: [] });
    expect(connect()).toBe('new-connection');
    bench.advance(20_000);
    bench.settle();
    expect(connect()).toBe('new-connection');
    bench.advance(20_000);
    bench.settle();
    expect(connect()).toBe('new-connection');
    bench.advance(31_000);
    bench.settle();
    expect(connect()).toBe('app-dropped');
    expect(shareOf(bench).namedCounters()).toEqual({ 'let in': 1 });
  });

  it.each([
    ['in another order', [7010, 7150, 7200]],
    ['with one more', [7010, 7011, 7200, 7150]],
    ['too few', [7010, 7200]],
    ['every port in turn', Array.from({ length: 300 }, (_, i) => 7000 + i)],
  ])('but not %s', async (_, ports) => {
    const { knock, connect } = await guarded();
    for (const port of ports) knock(port);
    expect(connect()).toBe('app-dropped');
  });
});

describe('prefix-counter', () => {
  it('counts by the longest prefix and passes everything', async () => {
    const bench = await SwitchBench.create();
    const services = [serviceAt(bench, 'web', VIP, 80, 6)];
    const prefixes = { wide: ['10.1.0.0/16'], narrow: ['10.1.0.0/28'], far: ['192.0.2.0/24'] };
    const options = { service: 'web', prefixes };
    await runApplications(bench, planOf({ module: module('prefix-counter'), options, services }));
    for (const source of ['10.1.0.10', '10.1.0.10', '10.1.7.7', '198.51.100.1']) {
      expect(bench.pass(request(SYN, { source })).reasons).not.toEqual(['app-dropped']);
    }
    bench.pass(request({ ...SYN, destinationPort: 81 }));
    expect(shareOf(bench).namedCounters()).toEqual({ wide: 1, narrow: 2, far: 0, other: 1 });
  });
});
