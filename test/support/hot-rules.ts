// The rules for functions whose doc comment bears @hot, which are those that run for every packet, held
// against the program's syntax trees (docs/reference/hot-path.md says what each rule is for):
//   - nothing that allocates, throws, waits or goes through an iterator;
//   - calls only to functions that are hot themselves, and to builtins that take and give numbers
//     (hot-types.ts finds out what is called; what it cannot find out is not allowed);
//   - what implements a hot member of an interface is hot;
//   - every mark belongs to something.
// It sees what is written, not what V8 makes of it: no-garbage.test.ts looks at that.

import type * as oxc from 'oxc-parser';
import { type Callable, membersIn, nameOf, type Type, TypeResolver, UNKNOWN } from './hot-types.ts';
import { childrenOf, SourceTree } from './source-tree.ts';

export interface Violation {
  readonly file: string;
  readonly line: number;
  /** 'PacketFilter.process' or 'readHeaders'. */
  readonly inFunction: string;
  /** 'an object literal', 'calls FramePool.recover, which is not hot'. */
  readonly rule: string;
}

interface HotFunction {
  readonly source: SourceTree;
  readonly name: string;
  readonly node: oxc.Function;
  /** The class that `this` is of. */
  readonly owner: oxc.Class | undefined;
}

/** Syntax that allocates, throws, waits or iterates, by the type of its node. */
const BANNED: Readonly<Record<string, string>> = {
  ObjectExpression: 'an object literal',
  ArrayExpression: 'an array literal',
  TemplateLiteral: 'a template string',
  TaggedTemplateExpression: 'a template string',
  ArrowFunctionExpression: 'a closure',
  FunctionExpression: 'a closure',
  FunctionDeclaration: 'a closure',
  ClassDeclaration: 'a class',
  ClassExpression: 'a class',
  SpreadElement: 'a spread',
  RestElement: 'a rest parameter',
  ArrayPattern: 'an array taken apart',
  NewExpression: 'new',
  TryStatement: 'an exception',
  ThrowStatement: 'an exception',
  AwaitExpression: 'waiting',
  YieldExpression: 'waiting',
  ForInStatement: 'an iterator',
  ForOfStatement: 'an iterator',
  ImportExpression: 'an import',
};

/** What a mark may stand before. */
const MARKABLE = new Set([
  'FunctionDeclaration',
  'MethodDefinition',
  'PropertyDefinition',
  'Property',
  'TSMethodSignature',
  'TSPropertySignature',
  'TSTypeAliasDeclaration',
]);

/** Both sides of these may be strings: comparing allocates nothing. */
const COMPARING = new Set(['===', '!==']);

export class HotRules {
  readonly functions: HotFunction[] = [];
  readonly violations: Violation[] = [];
  private readonly sources = new Map<string, SourceTree>();
  private readonly resolver: TypeResolver;
  /** Marks that belong to something, by their end and file. */
  private readonly usedMarks = new Set<oxc.Comment>();

  /** @param files text by path; all that are to be followed, not only those with hot functions */
  constructor(files: ReadonlyMap<string, string>) {
    for (const [path, text] of files) this.sources.set(path, new SourceTree(path, text));
    this.resolver = new TypeResolver(this.sources);
    for (const source of this.sources.values()) this.collect(source);
    for (const each of this.functions)
      new FunctionCheck(each, this.resolver, this.violations).run();
    for (const source of this.sources.values()) this.checkMarks(source);
  }

  /** Finds everything that a mark stands before. */
  private collect(source: SourceTree): void {
    const visit = (node: oxc.Node, owner: oxc.Class | undefined): void => {
      const mark = MARKABLE.has(node.type) ? source.hotMarkBefore(node.start) : undefined;
      if (mark !== undefined) {
        this.usedMarks.add(mark);
        const body = functionIn(node);
        if (body?.body) {
          const own = 'key' in node ? nameOf(node.key as oxc.PropertyKey) : body.id?.name;
          const name = owner === undefined ? `${own}` : `${owner.id?.name}.${own}`;
          this.functions.push({ source, name, node: body, owner });
        }
      }
      const inside = node.type === 'ClassDeclaration' ? (node as oxc.Class) : owner;
      if (node.type === 'ClassDeclaration') this.checkImplementation(node as oxc.Class, source);
      for (const child of childrenOf(node)) visit(child, inside);
    };
    visit(source.program, undefined);
  }

  /** A class whose method is called by way of a hot member of an interface. */
  private checkImplementation(node: oxc.Class, source: SourceTree): void {
    const own: Type = { kind: 'class', source, node };
    for (const { expression } of node.implements ?? []) {
      const contract = this.resolver.of(expression as oxc.Expression, source, new Map());
      if (contract.kind !== 'members') continue;
      for (const member of membersIn(contract.node)) {
        const name = 'key' in member ? nameOf(member.key) : undefined;
        if (name === undefined) continue;
        const wanted = this.resolver.member(contract, name);
        if (wanted.kind !== 'callable' || !wanted.isHot) continue;
        const found = this.resolver.member(own, name);
        if (found.kind === 'callable' && found.isHot) continue;
        const rule = `implements ${wanted.label}, which is hot, and is not marked so`;
        const inFunction = `${node.id?.name}.${name}`;
        this.violations.push({
          file: source.path,
          line: source.lineAt(node.start),
          inFunction,
          rule,
        });
      }
    }
  }

  private checkMarks(source: SourceTree): void {
    for (const mark of source.hotMarks.values()) {
      if (this.usedMarks.has(mark)) continue;
      this.violations.push({
        file: source.path,
        line: source.lineAt(mark.end),
        inFunction: '',
        rule: 'a mark that stands before nothing that could be hot',
      });
    }
  }
}

function functionIn(node: oxc.Node): oxc.Function | undefined {
  if (node.type === 'FunctionDeclaration') return node;
  if (node.type !== 'MethodDefinition') return undefined;
  return node.value;
}

/** One hot function, node by node. */
class FunctionCheck {
  private readonly checked: HotFunction;
  private readonly resolver: TypeResolver;
  private readonly violations: Violation[];
  private readonly locals = new Map<string, Type>();

  constructor(checked: HotFunction, resolver: TypeResolver, violations: Violation[]) {
    this.checked = checked;
    this.resolver = resolver;
    this.violations = violations;
  }

  run(): void {
    const { node, owner, source } = this.checked;
    if (owner !== undefined) this.locals.set('this', { kind: 'class', source, node: owner });
    if (node.async || node.generator) this.report(node, 'waiting');
    for (const parameter of node.params) {
      if (parameter.type !== 'Identifier' && parameter.type !== 'AssignmentPattern') {
        this.report(parameter, 'a parameter taken apart');
        continue;
      }
      const name = parameter.type === 'Identifier' ? parameter : parameter.left;
      if (name.type !== 'Identifier') continue;
      const written = name.typeAnnotation?.typeAnnotation;
      this.locals.set(name.name, written ? this.resolver.written(written, source) : UNKNOWN);
      if (parameter.type === 'AssignmentPattern') this.visit(parameter.right, parameter);
    }
    if (node.body !== null) this.visit(node.body, node);
  }

  private report({ start }: oxc.Node, rule: string): void {
    const { source, name } = this.checked;
    const line = source.lineAt(start);
    this.violations.push({ file: source.path, line, inFunction: name, rule });
  }

  private visit(node: oxc.Node, parent: oxc.Node): void {
    if (node.type.startsWith('TS') && !/^TS(?:NonNull|As)Expression$/.test(node.type)) return;
    const banned = BANNED[node.type];
    if (banned !== undefined) {
      this.report(node, banned);
      return;
    }
    switch (node.type) {
      case 'VariableDeclarator':
        this.declare(node);
        if (node.init !== null) this.visit(node.init, node);
        return;
      case 'CallExpression':
        this.call(node);
        for (const argument of node.arguments) this.visit(argument, node);
        // The callee's last name is no reading of its own; what stands before it is.
        if (node.callee.type === 'MemberExpression') this.visit(node.callee.object, node.callee);
        return;
      default:
        this.checkSimple(node, parent);
        for (const child of childrenOf(node)) this.visit(child, node);
    }
  }

  private checkSimple(node: oxc.Node, parent: oxc.Node): void {
    switch (node.type) {
      case 'Literal':
        this.literal(node, parent);
        break;
      case 'MemberExpression':
        this.reading(node);
        break;
      case 'AssignmentExpression':
        this.assignment(node);
        break;
      case 'UnaryExpression':
        if (node.operator === 'delete') this.report(node, 'delete');
        break;
      case 'BinaryExpression':
        if (node.operator === 'in' || node.operator === 'instanceof') {
          this.report(node, `'${node.operator}'`);
        }
        break;
      case 'Identifier':
        if (node.name === 'arguments') this.report(node, "'arguments'");
    }
  }

  private literal(node: oxc.Node, parent: oxc.Node): void {
    if ('bigint' in node) this.report(node, 'BigInt');
    else if ('regex' in node) this.report(node, 'a regular expression');
    else if ('value' in node && typeof node.value === 'string') {
      const isCompared =
        parent.type === 'SwitchCase' ||
        (parent.type === 'BinaryExpression' && COMPARING.has(parent.operator));
      if (!isCompared) this.report(node, 'a string');
    }
  }

  /** A number above 2^31 in a field is an object of its own, made at every assignment. */
  private assignment({ left, right }: oxc.AssignmentExpression): void {
    if (left.type === 'ObjectPattern')
      this.report(left, 'an object taken apart into old variables');
    if (left.type !== 'MemberExpression' || left.computed) return;
    if (right.type === 'BinaryExpression' && right.operator === '>>>') {
      const isWhole = right.right.type === 'Literal' && right.right.value === 0;
      if (isWhole) this.report(right, '>>> 0 kept in a field');
    }
  }

  /** A getter is a call. */
  private reading(node: oxc.MemberExpression): void {
    if (node.computed || node.property.type !== 'Identifier') return;
    const object = this.typeOf(node.object as oxc.Expression);
    const member = this.resolver.member(object, node.property.name);
    if (member.kind === 'callable' && member.isGetter) this.checkCallable(node, member);
  }

  private call(node: oxc.CallExpression): void {
    if (node.optional || ('optional' in node.callee && node.callee.optional)) {
      this.report(node, 'an optional call');
      return;
    }
    const called = this.typeOf(node.callee as oxc.Expression);
    if (called.kind === 'callable') this.checkCallable(node, called);
    else this.report(node, `calls ${this.checked.source.textOf(node.callee)}, which is not known`);
  }

  private checkCallable(node: oxc.Node, { label, isHot }: Callable): void {
    if (!isHot) this.report(node, `calls ${label}, which is not hot`);
  }

  private typeOf(expression: oxc.Expression): Type {
    return this.resolver.of(expression, this.checked.source, this.locals);
  }

  /** Notes what a variable is; taking fields out of an object allocates nothing, all else might. */
  private declare({ id, init }: oxc.VariableDeclarator): void {
    if (id.type === 'Identifier') {
      const written = id.typeAnnotation?.typeAnnotation;
      const given = init === null ? UNKNOWN : this.typeOf(init);
      const { source } = this.checked;
      this.locals.set(id.name, written ? this.resolver.written(written, source) : given);
      return;
    }
    if (id.type === 'ArrayPattern') {
      this.report(id, 'an array taken apart');
      return;
    }
    if (id.type !== 'ObjectPattern' || init === null || !isPlainPlace(init)) {
      this.report(id, 'a result taken apart');
      return;
    }
    const object = this.typeOf(init);
    for (const property of id.properties) {
      if (property.type !== 'Property' || property.value.type !== 'Identifier') {
        this.report(property, 'an object taken apart into more than its fields');
        continue;
      }
      const member = this.resolver.member(object, nameOf(property.key) ?? '');
      const isGetter = member.kind === 'callable' && member.isGetter === true;
      if (isGetter) this.checkCallable(property, member);
      this.locals.set(property.value.name, isGetter ? member.result() : member);
    }
  }
}

/** `this`, a name, or fields and elements of one: an object that was there before. */
function isPlainPlace(expression: oxc.Expression): boolean {
  if (expression.type === 'ThisExpression' || expression.type === 'Identifier') return true;
  if (expression.type === 'TSNonNullExpression') return isPlainPlace(expression.expression);
  return (
    expression.type === 'MemberExpression' && isPlainPlace(expression.object as oxc.Expression)
  );
}
