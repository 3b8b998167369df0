// The schema of the control host: the machine's own programs as an end point on the networks that weir
// switches (src/supervisor/control-device.ts makes the device, src/switching/control-stage.ts knows what is
// for it). What its values say about the others is in control-checks.ts.

import { z } from 'zod';
import { parseInterfaceAddress } from './ipv4-text.ts';
import { IPV4, network, PREFIX, parsedText } from './schema-values.ts';

/** The largest packet that fits into a frame with its Ethernet header and a VLAN tag. */
const MTU_MAX = 1770;
/** Every host takes packets of so many bytes (RFC 791). */
const MTU_MIN = 576;

export const controlAddress = parsedText(parseInterfaceAddress, IPV4 + PREFIX, '10.1.0.9/24');

export const controlShape = {
  addresses: z
    .array(controlAddress)
    .min(1)
    .max(64)
    .describe(
      "Addresses of the machine's own programs, each with the prefix length of its network.",
    ),
  device: z
    .string()
    // `all` and `default` stand for other things below /proc/sys/net, where each device has a folder.
    .regex(/^(?!(\.{1,2}|all|default)$)[!-$&-.0-9;-~]{1,15}$/, {
      error:
        'the name of an interface has 1–15 characters of ASCII, no space, slash, colon or percent, ' +
        "and is not 'all' or 'default'",
    })
    .default('weir0')
    .describe('Name of the pseudo-network device (a TAP device) that weir makes.'),
  namespace: z
    .string()
    .regex(/^(?!\.{1,2}$)[^\s/]{1,255}$/, {
      error: 'a namespace is named as `ip netns` shows it, without spaces and slashes',
    })
    .optional()
    .describe("Network namespace that the device is put into; without it, weir's own."),
  mtu: z.int().min(MTU_MIN).max(MTU_MAX).default(1500).describe('Longest packet of the device.'),
  routes: z
    .array(network('default'))
    .max(64)
    .optional()
    .describe('Networks that are reached by the device. Default: all with namespace, else none.'),
};

/** With the defaults that depend on other values. */
export function completeControl<
  C extends { namespace?: string | undefined; routes?: string[] | undefined },
>(control: C | undefined): (C & { routes: string[] }) | undefined {
  if (control === undefined) return undefined;
  const { namespace, routes = namespace === undefined ? [] : ['default'] } = control;
  return { ...control, routes };
}
