// All contenders, in the order in which tables show them.

import type { Contender } from './contender.ts';
import { cTwin } from './contenders/c-twin.ts';
import { direct } from './contenders/direct.ts';
import { haproxy } from './contenders/haproxy.ts';
import { nftables } from './contenders/nftables.ts';
import { nginx } from './contenders/nginx.ts';
import { weirAfPacket, weirAfXdp } from './contenders/weir.ts';
import { xdpRedirect } from './contenders/xdp-redirect.ts';

export const CONTENDERS: readonly Contender[] = [
  weirAfXdp,
  weirAfPacket,
  nftables,
  haproxy,
  nginx,
  direct,
  xdpRedirect,
  cTwin,
];
