// How the report writes numbers, conditions and names, for the terminal, the pictures and the document
// alike: the same figure looks the same everywhere. Numbers have three significant digits, which is
// more than the spread of any of them deserves.

import type { Condition } from '../result.ts';

/** Names as they stand in tables; what is not listed stands for itself. */
const LABELS: Readonly<Record<string, string>> = {
  'weir-af-xdp': 'weir, af-xdp',
  'weir-af-packet': 'weir, af-packet',
  nftables: 'nftables DNAT',
  haproxy: 'HAProxy',
  nginx: 'nginx stream',
  direct: 'direct',
  'xdp-redirect': 'XDP redirect',
  'c-twin': 'C twin',
  filter: 'weir filter',
};

/** Conditions that read better with the number first: '8 streams'. */
const COUNTED = new Set([
  'backends',
  'bytes',
  'clients',
  'connections',
  'flips',
  'flows',
  'packets',
  'processors',
  'rounds',
  'seconds',
  'services',
  'streams',
]);

/** Conditions whose value says enough: 'after load'. */
const SELF_EVIDENT = new Set(['how', 'process', 'when']);

/** The name of a contender without what it was told: of 'weir-af-xdp, busy polling' the first part. */
export function contenderName(contender: string): string {
  return contender.split(', ')[0];
}

export function contenderLabel(contender: string): string {
  const name = contenderName(contender);
  return `${LABELS[name] ?? name}${contender.slice(name.length)}`;
}

/** 65536 as '65,536'. */
export function wholeNumber(value: number): string {
  return value
    .toFixed(0)
    .replace(/\B(?=(\d{3})+$)/g, ',')
    .replace(/^-0$/, '0');
}

/** Three significant digits without an exponent: 0.0123, 1.23, 12.3, 123, 12,345. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 100) return wholeNumber(value);
  // What 99.96 is rounded to has a digit less behind the point.
  const digits = Math.floor(Math.log10(Number(size.toPrecision(3))));
  return value.toFixed(Math.min(12, Math.max(0, 2 - digits)));
}

/** For axes: 65536 as '64 k', 1048576 as '1 M', 1000000 as '1 M' too, 0.5 as '0.5'. */
export function axisNumber(value: number): string {
  const size = Math.abs(value);
  const isPowerOfTwo = Number.isInteger(Math.log2(size));
  if (size >= 1e6) return `${shortened(value / (isPowerOfTwo ? 1 << 20 : 1e6))} M`;
  if (size >= 1e3) return `${shortened(value / (isPowerOfTwo ? 1 << 10 : 1e3))} k`;
  return shortened(value);
}

function shortened(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** 'offeredMpps' as 'offered Mpps'. */
function spacedName(key: string): string {
  return key.replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start}`);
}

/** One condition: '65,536 connections', 'idle busy'. */
function oneCondition(key: string, value: string | number): string {
  const shown = typeof value !== 'number' ? value : settingText(value);
  if (SELF_EVIDENT.has(key)) return shown;
  if (!COUNTED.has(key)) return `${spacedName(key)} ${shown}`;
  return `${shown} ${value === 1 ? key.replace(/s$/, '') : key}`;
}

function settingText(value: number): string {
  return Number.isInteger(value) ? wholeNumber(value) : shortened(value);
}

/** All conditions of a series in their order, without those named; '' when there are none. */
export function conditionText(condition: Condition, without: readonly string[] = []): string {
  return Object.entries(condition)
    .filter(([key]) => !without.includes(key))
    .map(([key, value]) => oneCondition(key, value))
    .join(', ');
}

/** Seconds as '2 min 5 s'. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
