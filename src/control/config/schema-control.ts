// The schema of the control host: the machine's own programs as an end point on the networks that weir
// switches, by one of two ways. By a device that weir makes (src/supervisor/control-device.ts; what is for it
// knows src/switching/control-stage.ts), or by an interface of the kernel's on the internal switch, known by
// virtual addresses (src/switching/control-interface-stage.ts). Which keys belong to which way, and what its
// values say about the others, is in control-checks.ts.

import { z } from 'zod';
import { MAX_CONTROL_PAIRS } from '../../tables/configuration-layout.ts';
import { parseInterfaceAddress } from './ipv4-text.ts';
import { hostAddress, IPV4, network, PREFIX, parsedText } from './schema-values.ts';

/** The largest packet that fits into a frame with its Ethernet header and a VLAN tag. */
const MTU_MAX = 1770;
/** Every host takes packets of so many bytes (RFC 791). */
const MTU_MIN = 576;

export const controlAddress = parsedText(parseInterfaceAddress, IPV4 + PREFIX, '10.1.0.9/24');

export const controlPairShape = {
  virtual: hostAddress('10.1.0.9').describe('The address by which it is known.'),
  real: hostAddress('10.2.0.9').describe(
    "The address of the kernel's interface, on a network of one of weir's interfaces.",
  ),
};

export const controlShape = {
  via: z
    .enum(['device', 'interface'])
    .default('device')
    .describe("A device that weir makes, or an interface of the kernel's on the internal switch."),
  pairs: z
    .array(z.strictObject(controlPairShape))
    .min(1)
    .max(MAX_CONTROL_PAIRS)
    .optional()
    .describe('With `via: interface`, required: the addresses that are translated.'),
  addresses: z
    .array(controlAddress)
    .min(1)
    .max(64)
    .optional()
    .describe(
      'Required for a device: addresses of its programs, each with the prefix length of its network.',
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

export const controlSchema = z
  .strictObject(controlShape)
  .optional()
  .describe("The machine's own programs as an end point on the networks.");
type ControlOfFile = z.output<typeof controlSchema>;

/** The control host by a device. */
export interface ControlConfiguration {
  readonly addresses: string[];
  readonly device: string;
  readonly namespace?: string | undefined;
  readonly mtu: number;
  readonly routes: string[];
}

/** By which of its two ways the control host is reached, if it is. */
export interface CompleteControl {
  /** By a device. */
  readonly control: ControlConfiguration | undefined;
  /** By an interface of the kernel's; empty: it is not. */
  readonly controlPairs: readonly { readonly virtual: string; readonly real: string }[];
}

/** With the defaults that depend on other values. */
export function completeControl(control: ControlOfFile): CompleteControl {
  if (control === undefined) return { control, controlPairs: [] };
  if (control.via === 'interface') return { control: undefined, controlPairs: control.pairs ?? [] };
  const { addresses = [], device, namespace, mtu } = control;
  const { routes = namespace === undefined ? [] : ['default'] } = control;
  const complete = { addresses, device, mtu, routes };
  return {
    control: namespace === undefined ? complete : { ...complete, namespace },
    controlPairs: [],
  };
}
