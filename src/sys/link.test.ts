import { describe, expect, it } from 'vitest';
import { linkName, readLink, setLinkUp } from './link.ts';

describe('links', () => {
  it('are read by name, and their names by index', () => {
    const link = readLink('lo');
    expect(link.loopback).toBe(true);
    expect(link.mac).toHaveLength(6);
    expect(link.mtu).toBeGreaterThanOrEqual(1280);
    expect(link.queues).toBeGreaterThanOrEqual(1);
    expect(linkName(link.index)).toBe('lo');
    expect(linkName(2 ** 30)).toBe('');
  });

  it('that are not there are told apart from those with an impossible name', () => {
    expect(() => readLink('weir-none0')).toThrow(/SIOCGIFINDEX\) failed with ENODEV on interface/);
    expect(() => readLink('a-name-of-16-char')).toThrow(/cannot be the name/);
    expect(() => readLink('')).toThrow(/cannot be the name/);
    expect(() => setLinkUp('weir-none0', true)).toThrow(/no such network interface/);
  });
});
