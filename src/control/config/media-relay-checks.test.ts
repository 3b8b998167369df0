import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { mediaRelaySettings } from './media-relay-checks.ts';
import { parseConfiguration } from './parse.ts';

const OPTIONS = {
  interfaces: [
    { name: 'external', address: '10.1.0.1', advertise: '203.0.113.1' },
    { name: 'internal', address: '10.2.0.99' },
  ],
  ports: '30000-39999',
  ng: { address: '10.2.0.9' },
};

function faultsOf(options: object, application: object = {}): string[] {
  return parsed(options, application).faults.map(({ path, message }) => `${path}: ${message}`);
}

function parsed(options: object, application: object = {}) {
  const text = stringify({
    interfaces: [
      { name: 'ext0', addresses: ['10.1.0.1/24'] },
      { name: 'int0', addresses: ['10.2.0.1/24'] },
    ],
    applications: [
      {
        name: 'telephony',
        module: 'media-relay',
        addresses: ['10.2.0.99'],
        options: { ...OPTIONS, ...options },
        ...application,
      },
    ],
  });
  return parseConfiguration(text, 'test.yaml');
}

describe('the options of a media relay', () => {
  it('are complete with few of them', () => {
    expect(faultsOf({})).toEqual([]);
    expect(mediaRelaySettings(OPTIONS)).toEqual({
      interfaces: [
        { name: 'external', address: '10.1.0.1', advertise: '203.0.113.1' },
        { name: 'internal', address: '10.2.0.99', advertise: '10.2.0.99' },
      ],
      firstPort: 30_000,
      lastPort: 39_999,
      ng: { address: '10.2.0.9', port: 2223, allow: [] },
      timeoutMs: 60_000,
      silentTimeoutMs: 3_600_000,
      latchWindowMs: 3000,
      ssrcGuardMs: 0,
    });
  });

  it('are warned of when anybody may command', () => {
    const said = (allow: string[]) =>
      parsed({ ng: { address: '10.2.0.9', allow } }).warnings.map(({ message }) => message);
    expect(said([])).toEqual(['whoever reaches UDP 10.2.0.9:2223 directs media']);
    expect(said(['10.2.0.20'])).toEqual([]);
  });

  it('are taken as they are written', () => {
    const more = {
      timeout: '30s',
      'silent-timeout': '2h',
      'latch-window': 1,
      'ssrc-guard': '100ms',
    };
    expect(faultsOf(more)).toEqual([]);
    expect(mediaRelaySettings({ ...OPTIONS, ...more })).toMatchObject({
      timeoutMs: 30_000,
      silentTimeoutMs: 7_200_000,
      latchWindowMs: 1000,
      ssrcGuardMs: 100,
    });
  });

  it.each([
    [
      'an interface that is none of weir’s',
      { interfaces: [{ name: 'a', address: '10.9.0.1' }] },
      {},
      'interfaces[0].address: 10.9.0.1 is no address',
    ],
    ['no interface', { interfaces: [] }, {}, 'options.interfaces'],
    [
      'two of a name',
      { interfaces: [OPTIONS.interfaces[0], OPTIONS.interfaces[0]] },
      {},
      'there are two interfaces external',
    ],
    ['no range of ports', { ports: '30000' }, {}, 'options.ports: a range of ports is expected'],
    ['a range of none', { ports: '30000-30001' }, {}, 'options.ports: 30000-30001 is no range'],
    ['ports that are none', { ports: '60000-70000' }, {}, 'options.ports: 60000-70000 is no range'],
    ['nowhere to listen', { ng: {} }, {}, 'options.ng.address'],
    ['a key that is none', { timout: '3s' }, {}, 'timout'],
    ['a timeout that is none', { timeout: 'soon' }, {}, 'options.timeout'],
    [
      'one processor of several',
      {},
      { processors: 'one' },
      'processors: a media relay runs on all',
    ],
  ])('are refused with %s', (_, options, application, fault) => {
    expect(faultsOf(options, application).join('\n')).toContain(fault);
  });
});
