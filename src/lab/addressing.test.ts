import { describe, expect, it } from 'vitest';
import {
  clientAddress,
  directAddress,
  externalAddress,
  internalAddress,
  MAXIMUM_BACKENDS,
  MAXIMUM_CLIENTS,
  macAddress,
  managementAddress,
  serverAddress,
  virtualAddress,
} from './addressing.ts';

describe('addressing', () => {
  it('gives no address twice, with as many hosts as are allowed', () => {
    const all: string[] = [managementAddress()];
    for (const channel of [0, 1] as const) {
      all.push(externalAddress(channel), internalAddress(channel), virtualAddress(channel));
      for (let index = 0; index < MAXIMUM_CLIENTS; index += 1) {
        all.push(clientAddress(index, channel));
      }
      for (let index = 0; index < MAXIMUM_BACKENDS; index += 1) {
        all.push(serverAddress(index, channel));
      }
    }
    for (let index = 0; index < MAXIMUM_BACKENDS; index += 1) all.push(directAddress(index));
    expect(new Set(all).size).toBe(all.length);
    expect(new Set(all.map(macAddress)).size).toBe(all.length);
  });

  it('writes the address into the MAC address', () => {
    expect(macAddress('10.1.0.100')).toBe('02:00:0a:01:00:64');
  });
});
