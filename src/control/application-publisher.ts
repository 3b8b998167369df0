// Tells the switching processors which network applications to run: writes their plans
// (base/application-plan.ts) as JSON into main memory. An application keeps its place there for as long as
// it keeps its name; its revision is raised when anything about it changes, its module's files included
// (application-modules.ts), or when somebody wants it to begin again.
// Invariant: plans that say the same are not published again, so that a control processor that was killed
// comes back without any application being set up anew.

import { dirname, resolve } from 'node:path';
import {
  type ApplicationPlan,
  type ApplicationService,
  BUILTIN_APPLICATIONS,
  type Match,
} from '../base/application-plan.ts';
import { WeirError } from '../base/errors.ts';
import { applicationsBuffer, emptyApplication } from '../memory/application-memory.ts';
import {
  APPLICATIONS_TEXT_SIZE,
  HEADER_APPLICATIONS_LENGTH_A,
  MAX_APPLICATIONS,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import { parseAddress } from '../wire/ipv4.ts';
import { checkSyntax, type ModuleFiles, readModule } from './application-modules.ts';
import { backendKey, type Ids, protocolNumber } from './compile-configuration.ts';
import { servicesOfDns } from './config/dns-checks.ts';
import type { Configuration } from './config/schema.ts';
import { portRange } from './config/schema-applications.ts';
import { MemoryText } from './memory-text.ts';

type ApplicationConfiguration = Configuration['applications'][number];
/** A plan without what is only known beside the plans before. */
type NewPlan = Omit<ApplicationPlan, 'slot' | 'revision'>;
export type ModulesByName = ReadonlyMap<string, ModuleFiles>;

export class ApplicationPublisher {
  private readonly memory: MainMemory;
  private readonly folder: string;
  private readonly text: MemoryText;

  /** @param configurationFile modules with a relative path are beside it */
  constructor(memory: MainMemory, configurationFile: string) {
    this.memory = memory;
    this.folder = dirname(resolve(configurationFile));
    const buffer = applicationsBuffer(memory);
    const lengths = HEADER_APPLICATIONS_LENGTH_A;
    this.text = new MemoryText(memory, buffer, lengths, APPLICATIONS_TEXT_SIZE);
  }

  /** The plans in force. */
  plans(): readonly ApplicationPlan[] {
    const text = this.text.read();
    return text === undefined ? [] : (JSON.parse(text) as ApplicationPlan[]);
  }

  /**
   * What a configuration asks for; nothing is published yet.
   * @param isLenient it ran before: modules are taken as they were, and need not be there
   * @returns what the modules are made of, by application
   * @throws WeirError ERR_APPLICATION_MODULE, ERR_TABLE_FULL
   */
  async prepare({ applications }: Configuration, isLenient: boolean): Promise<ModulesByName> {
    this.requireRoom(JSON.stringify(applications).length * 2);
    const before = new Map(this.plans().map((plan) => [plan.name, plan]));
    const modules = new Map<string, ModuleFiles>();
    for (const { name, module } of applications) {
      const old = before.get(name);
      modules.set(name, isLenient && old ? old : this.filesOf(name, module, isLenient));
    }
    const changed = applications.filter(
      ({ name }) => !isLenient && before.get(name)?.version !== modules.get(name)?.version,
    );
    const paths = changed.filter(({ module }) => !isBuiltin(module));
    await Promise.all(paths.map(({ name, module }) => checkSyntax(name, this.pathOf(module))));
    return modules;
  }

  /** What a configuration that says the same of an application changes all the same, a line each. */
  moduleChanges({ applications }: Configuration, modules: ModulesByName): string[] {
    const before = new Map(this.plans().map(({ name, version }) => [name, version]));
    return applications.flatMap(({ name }) => {
      const [old, young] = [before.get(name), modules.get(name)?.version];
      if (!old || !young || old === young) return [];
      return [`application ${name}: its module has changed, it is set up anew`];
    });
  }

  private requireRoom(bytes: number): void {
    if (bytes <= this.text.capacity) return;
    throw new WeirError(
      'ERR_TABLE_FULL',
      `the plans of the applications need ${bytes} bytes, there are ${this.text.capacity}`,
      'give them fewer options',
    );
  }

  private pathOf(module: string): string {
    return resolve(this.folder, module);
  }

  private filesOf(name: string, module: string, isLenient: boolean): ModuleFiles {
    const none = { version: '', importsFiles: false };
    if (isBuiltin(module)) return none;
    try {
      return readModule(name, this.pathOf(module));
    } catch (error) {
      if (isLenient) return none;
      throw error;
    }
  }

  /**
   * Puts plans into force.
   * @param modules what `prepare` has returned
   * @returns whether they differ from those before
   */
  publish(configuration: Configuration, ids: Ids, modules: ModulesByName): boolean {
    const before = new Map(this.plans().map((plan) => [plan.name, plan]));
    const free = this.freePlaces(configuration, before);
    const plans = configuration.applications.map((application): ApplicationPlan => {
      const plan = this.compile(application, configuration, ids, modules);
      const old = before.get(plan.name);
      if (old !== undefined) return { ...plan, ...continued(old, plan) };
      const slot = free.shift() as number;
      emptyApplication(this.memory, slot);
      return { ...plan, slot, revision: 1 };
    });
    return this.write(plans);
  }

  /** Places that nobody has or will have; those that nobody had before come first. */
  private freePlaces(
    { applications }: Configuration,
    before: ReadonlyMap<string, ApplicationPlan>,
  ): number[] {
    const names = new Set(applications.map(({ name }) => name));
    const had = new Set([...before.values()].map(({ slot }) => slot));
    const kept = new Set([...before.values()].filter((p) => names.has(p.name)).map((p) => p.slot));
    const all = Array.from({ length: MAX_APPLICATIONS }, (_, slot) => slot);
    return [
      ...all.filter((slot) => !had.has(slot)),
      ...all.filter((slot) => had.has(slot) && !kept.has(slot)),
    ];
  }

  private compile(
    application: ApplicationConfiguration,
    configuration: Configuration,
    ids: Ids,
    modules: ModulesByName,
  ): NewPlan {
    const { name, module, processors, options, failures, frames, budget } = application;
    const named = module === 'dns' ? servicesOfDns(options) : [];
    const services = [...new Set([...application.services, ...named])];
    return {
      name,
      module: isBuiltin(module) ? module : this.pathOf(module),
      version: modules.get(name)?.version ?? '',
      importsFiles: modules.get(name)?.importsFiles ?? false,
      match: application.match.map(
        ({ port, ...rest }): Match =>
          port === undefined ? rest : { ...rest, port: portRange(port) },
      ),
      processors,
      options,
      budgetMicroseconds: budget * 1000,
      failures,
      frames,
      whenOff: application['when-off'],
      services: services.flatMap((service) => compileService(service, configuration, ids)),
    };
  }

  /**
   * Has an application begin again, as after a change: one that was switched off runs again.
   * @returns whether there is one of this name
   */
  restart(name: string): boolean {
    const plans = this.plans();
    if (!plans.some((plan) => plan.name === name)) return false;
    return this.write(
      plans.map((plan) => (plan.name === name ? { ...plan, revision: plan.revision + 1 } : plan)),
    );
  }

  private write(plans: readonly ApplicationPlan[]): boolean {
    const text = JSON.stringify(plans);
    if (text === (this.text.read() ?? '[]')) return false;
    const bytes = Buffer.from(text);
    this.requireRoom(bytes.length);
    this.text.write(bytes);
    this.text.publish();
    return true;
  }
}

function isBuiltin(module: string): boolean {
  return (BUILTIN_APPLICATIONS as readonly string[]).includes(module);
}

/** Place and revision of a plan that follows another one of its name. */
function continued(old: ApplicationPlan, plan: NewPlan): { slot: number; revision: number } {
  const { slot, revision, ...before } = old;
  const isSame = JSON.stringify(sorted(before)) === JSON.stringify(sorted(plan));
  return { slot, revision: isSame ? revision : revision + 1 };
}

/** The same text for the same content, whatever the order of the keys. */
function sorted(plan: NewPlan): object {
  return Object.entries(plan).sort(([a], [b]) => (a < b ? -1 : 1));
}

function compileService(
  name: string,
  configuration: Configuration,
  ids: Ids,
): ApplicationService[] {
  const service = configuration.services.find((each) => each.name === name);
  if (service === undefined) return [];
  const backends = service.backends.map((backend) => ({
    name: backend.name,
    id: ids.backends.get(backendKey(name, backend.name)) as number,
  }));
  const id = ids.services.get(name) as number;
  const { address, port } = service;
  const protocol = protocolNumber(service);
  return [{ name, id, address: parseAddress(address), port, protocol, backends }];
}
