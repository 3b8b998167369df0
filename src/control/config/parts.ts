// The valid parts of a configuration that may be faulty as a whole. Checks across values run on
// these, so that one misspelled port does not hide a duplicate name elsewhere: all faults of a file
// are reported at once.
//
// Invariant: lists keep their indexes; what does not stand up by itself is undefined in its place,
// down to the single value. What is left out has its default.

import type { z } from 'zod';
import type { Finding } from './faults.ts';
import { interfaceAddress, SHAPES } from './schema.ts';
import { controlAddress } from './schema-control.ts';

/** Every value of a shape on its own: the valid ones, undefined for the others. */
type Fields<S extends Record<string, z.ZodType>> = { [K in keyof S]: z.output<S[K]> | undefined };

type InterfacePart = Omit<Fields<typeof SHAPES.interface>, 'addresses'> & {
  addresses: (string | undefined)[];
};
export type RoutePart = Fields<typeof SHAPES.route>;
export type BackendPart = Fields<typeof SHAPES.backend>;
export type ServicePart = Fields<typeof SHAPES.service> & { backends: BackendPart[] };
export type ApplicationPart = Fields<typeof SHAPES.application>;
export type ProcessorsPart = Fields<typeof SHAPES.processors>;
export type LimitsPart = Fields<typeof SHAPES.limits>;

export type ControlPart = Omit<Fields<typeof SHAPES.control>, 'addresses' | 'pairs'> & {
  addresses: (string | undefined)[];
  pairs: Fields<typeof SHAPES.controlPair>[];
  /** Those that stand in the file. */
  keys: readonly string[];
};

/** CPUs that weir may run on: their numbers, or how many there are, counted from 0. */
export type AvailableCpus = number | readonly number[];

/** What the checks have found: faults make the configuration unusable, warnings do not. */
export interface CheckResult {
  readonly faults: Finding[];
  readonly warnings: Finding[];
}

export interface ConfigurationParts {
  readonly interfaces: InterfacePart[];
  readonly routes: RoutePart[];
  readonly services: ServicePart[];
  readonly routing: Fields<typeof SHAPES.routing>;
  readonly forwarding: Fields<typeof SHAPES.forwarding>[];
  readonly processors: ProcessorsPart;
  readonly limits: LimitsPart;
  /** Absent when there is none. */
  readonly control: ControlPart | undefined;
  readonly applications: ApplicationPart[];
  readonly resourceManager: Fields<typeof SHAPES.resourceManager>;
}

/** Takes from `data`, of any kind, what is valid. */
export function validParts(data: unknown): ConfigurationParts {
  return {
    interfaces: list(data, 'interfaces').map((item) => ({
      ...fields(SHAPES.interface, item),
      addresses: list(item, 'addresses').map((address) => valid(interfaceAddress, address)),
    })),
    routes: list(data, 'routes').map((item) => fields(SHAPES.route, item)),
    services: list(data, 'services').map((item) => ({
      ...fields(SHAPES.service, item),
      backends: list(item, 'backends').map((backend) => fields(SHAPES.backend, backend)),
    })),
    routing: fields(SHAPES.routing, property(data, 'routing')),
    forwarding: list(data, 'forwarding').map((item) => fields(SHAPES.forwarding, item)),
    processors: fields(SHAPES.processors, property(data, 'processors')),
    limits: fields(SHAPES.limits, property(data, 'limits')),
    control: controlPart(property(data, 'control')),
    applications: list(data, 'applications').map((item) => fields(SHAPES.application, item)),
    resourceManager: fields(SHAPES.resourceManager, property(data, 'resource-manager')),
  };
}

function controlPart(data: unknown): ControlPart | undefined {
  if (data === undefined || data === null) return undefined;
  const addresses = list(data, 'addresses').map((address) => valid(controlAddress, address));
  const pairs = list(data, 'pairs').map((pair) => fields(SHAPES.controlPair, pair));
  const keys = typeof data === 'object' ? Object.keys(data) : [];
  return { ...fields(SHAPES.control, data), addresses, pairs, keys };
}

function fields<S extends Record<string, z.ZodType>>(shape: S, value: unknown): Fields<S> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(shape)) result[key] = valid(shape[key], property(value, key));
  return result as Fields<S>;
}

function valid<T extends z.ZodType>(schema: T, value: unknown): z.output<T> | undefined {
  const result = schema.safeParse(value);
  return result.success ? result.data : undefined;
}

function list(data: unknown, key: string): unknown[] {
  const value = property(data, key);
  return Array.isArray(value) ? value : [];
}

function property(data: unknown, key: string): unknown {
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, key)) return undefined;
  return (data as Record<string, unknown>)[key];
}
