import { describe, expect, it } from 'vitest';
import { describeMachine, machineTime, parseMachineTime, versionIn } from './machine.ts';

describe('versionIn', () => {
  it.each([
    ['HAProxy version 2.6.12-1+deb12u3 2025/10/01 - https://haproxy.org/', '2.6.12-1+deb12u3'],
    ['nginx version: nginx/1.22.1', '1.22.1'],
    ['nftables v1.0.6 (Lester Gooch #5)', '1.0.6'],
    ['iperf 3.12 (cJSON 1.7.15)', '3.12'],
    ['Debian clang version 14.0.6', '14.0.6'],
  ])('of %s', (text, version) => {
    expect(versionIn(text)).toBe(version);
  });

  it('of something else is unknown', () => {
    expect(versionIn('no such option')).toBeUndefined();
  });
});

describe('the time of the machine', () => {
  it('counts what was stolen, and guests only once', () => {
    const stat = 'cpu  100 0 50 800 10 0 5 35 20 0\ncpu0 1 2 3 4\n';
    expect(parseMachineTime(stat)).toEqual({ stolen: 35, total: 1000 });
  });
});

describe('describeMachine', () => {
  it('says what this machine is', () => {
    const machine = describeMachine('veth', machineTime());
    expect(machine.cpus).toBeGreaterThan(0);
    expect(machine.memoryGiB).toBeGreaterThan(0);
    expect(machine).toMatchObject({ node: process.version, drivers: 'veth' });
    expect(machine.stealPercent).toBeGreaterThanOrEqual(0);
  });
});
