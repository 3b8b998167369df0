// What a name or an expression is, as far as its declared types say so, for hot-rules.ts: enough of
// TypeScript to follow `this.filter.process(…)` to the method of the class that the field is declared
// with, through imports, interfaces, arrays, unions with null, destructured constants and results of
// functions. What is not declared is not guessed: it is UNKNOWN, and calling it is a violation.

import type * as oxc from 'oxc-parser';
import type { Declaration, SourceTree } from './source-tree.ts';

export type Type =
  | { readonly kind: 'class'; readonly source: SourceTree; readonly node: oxc.Class }
  | { readonly kind: 'members'; readonly source: SourceTree; readonly node: MemberList }
  | { readonly kind: 'module'; readonly source: SourceTree }
  | { readonly kind: 'builtin'; readonly name: string; readonly element?: Type }
  | { readonly kind: 'union'; readonly types: readonly Type[] }
  | Callable
  | { readonly kind: 'unknown' };

type MemberList = oxc.TSInterfaceDeclaration | oxc.TSTypeLiteral | oxc.ObjectExpression;

export interface Callable {
  readonly kind: 'callable';
  /** 'Counters.count', 'ipv4.source': for messages. */
  readonly label: string;
  readonly isHot: boolean;
  /** A getter, which runs at every reading. */
  readonly isGetter?: boolean;
  result(): Type;
}

export const UNKNOWN: Type = { kind: 'unknown' };
const PRIMITIVE: Type = { kind: 'builtin', name: 'primitive' };

/** Names of the language that hot code meets. */
const BUILTIN_NAMES =
  /^(?:Math|Atomics|DataView|ArrayBuffer|Array|ReadonlyArray|(?:(?:Ui|I)nt(?:8|16|32)|Float(?:32|64))Array)$/;
const TYPED_ARRAY = /^(?:Ui|I)nt(?:8|16|32)Array$|^Float(?:32|64)Array$/;

/** Builtins that take numbers, give a number, and allocate nothing. */
const HOT_BUILTINS = [
  /^Math\.(?:imul|min|max|abs|clz32|floor|ceil|trunc|sign|log)$/,
  /^Atomics\.(?:load|store|add|sub|and|or|xor|exchange|compareExchange)$/,
  /^DataView\.[gs]et(?:(?:Ui|I)nt(?:8|16|32)|Float(?:32|64))$/,
  /^(?:(?:Ui|I)nt(?:8|16|32)|Float(?:32|64))Array\.(?:copyWithin|fill)$/,
];

export class TypeResolver {
  private readonly sources: ReadonlyMap<string, SourceTree>;

  constructor(sources: ReadonlyMap<string, SourceTree>) {
    this.sources = sources;
  }

  /** What `name` stands for at the top of a file. */
  named(name: string, source: SourceTree): Type {
    const imported = source.imports.get(name);
    if (imported !== undefined) {
      const from = this.sources.get(imported.path);
      if (from === undefined) return UNKNOWN;
      if (imported.name === '*') return { kind: 'module', source: from };
      return this.named(imported.name, from);
    }
    const declaration = source.declarations.get(name);
    if (declaration !== undefined) return this.declared(declaration, source, name);
    return BUILTIN_NAMES.test(name) ? { kind: 'builtin', name } : UNKNOWN;
  }

  private declared(declaration: Declaration, source: SourceTree, name: string): Type {
    switch (declaration.type) {
      case 'ClassDeclaration':
      case 'ClassExpression':
        return { kind: 'class', source, node: declaration };
      case 'TSInterfaceDeclaration':
        return { kind: 'members', source, node: declaration };
      case 'TSTypeAliasDeclaration': {
        const type = this.written(declaration.typeAnnotation, source);
        if (type.kind !== 'callable') return type;
        const isHot = source.hotMarkBefore(declaration.start) !== undefined;
        return { ...type, label: name, isHot };
      }
      case 'VariableDeclarator': {
        const annotation = (declaration.id as oxc.BindingIdentifier).typeAnnotation;
        if (annotation) return this.written(annotation.typeAnnotation, source);
        return declaration.init === null ? UNKNOWN : this.of(declaration.init, source, new Map());
      }
      default: {
        const isHot = source.hotMarkBefore(declaration.start) !== undefined;
        return this.callable(name, isHot, declaration.returnType, source);
      }
    }
  }

  private callable(
    label: string,
    isHot: boolean,
    returns: oxc.TSTypeAnnotation | null | undefined,
    source: SourceTree,
  ): Callable {
    const result = () => (returns ? this.written(returns.typeAnnotation, source) : UNKNOWN);
    return { kind: 'callable', label, isHot, result };
  }

  /** What a written type is. */
  written(type: oxc.TSType, source: SourceTree): Type {
    switch (type.type) {
      case 'TSNumberKeyword':
      case 'TSBooleanKeyword':
      case 'TSVoidKeyword':
      case 'TSLiteralType':
        return PRIMITIVE;
      case 'TSParenthesizedType':
      case 'TSTypeOperator':
        return this.written(type.typeAnnotation, source);
      case 'TSArrayType':
        return {
          kind: 'builtin',
          name: 'Array',
          element: this.written(type.elementType, source),
        };
      case 'TSUnionType': {
        const types = type.types
          .filter((each) => !/^TS(?:Null|Undefined)Keyword$/.test(each.type))
          .map((each) => this.written(each, source));
        return types.length === 1 ? types[0] : { kind: 'union', types };
      }
      case 'TSTypeLiteral':
        return { kind: 'members', source, node: type };
      case 'TSFunctionType':
        return this.callable('function type', false, type.returnType, source);
      case 'TSTypeReference':
        return this.referred(type, source);
      default:
        return UNKNOWN;
    }
  }

  private referred({ typeName, typeArguments }: oxc.TSTypeReference, source: SourceTree): Type {
    if (typeName.type !== 'Identifier') return UNKNOWN;
    const { name } = typeName;
    const argument = typeArguments?.params[0];
    if (argument !== undefined && name === 'Readonly') return this.written(argument, source);
    if (argument !== undefined && /^(?:Readonly)?Array$/.test(name)) {
      return { kind: 'builtin', name: 'Array', element: this.written(argument, source) };
    }
    return this.named(name, source);
  }

  /** What an expression gives. `locals` are the names of the function that it stands in. */
  of(expression: oxc.Expression, source: SourceTree, locals: ReadonlyMap<string, Type>): Type {
    switch (expression.type) {
      case 'ThisExpression':
        return locals.get('this') ?? UNKNOWN;
      case 'Identifier':
        return locals.get(expression.name) ?? this.named(expression.name, source);
      case 'ParenthesizedExpression':
      case 'TSNonNullExpression':
      case 'ChainExpression':
        return this.of(expression.expression, source, locals);
      case 'TSAsExpression': {
        const { typeAnnotation } = expression;
        const isConst = source.textOf(typeAnnotation) === 'const';
        return isConst
          ? this.of(expression.expression, source, locals)
          : this.written(typeAnnotation, source);
      }
      case 'NewExpression':
        return this.made(expression, source, locals);
      case 'ObjectExpression':
        return { kind: 'members', source, node: expression };
      case 'ConditionalExpression': {
        const types = [expression.consequent, expression.alternate].map((each) =>
          this.of(each, source, locals),
        );
        return { kind: 'union', types };
      }
      case 'CallExpression': {
        const { callee, typeArguments } = expression;
        // koffi declares functions by the type that it is given.
        if (typeArguments) return this.written(typeArguments.params[0], source);
        const called = this.of(callee as oxc.Expression, source, locals);
        return called.kind === 'callable' ? called.result() : UNKNOWN;
      }
      case 'MemberExpression': {
        const object = this.of(expression.object as oxc.Expression, source, locals);
        if (expression.computed) return this.element(object);
        const name = (expression.property as oxc.IdentifierName | oxc.PrivateIdentifier).name;
        const member = this.member(object, name);
        return member.kind === 'callable' && member.isGetter ? member.result() : member;
      }
      case 'Literal':
      case 'BinaryExpression':
      case 'UnaryExpression':
      case 'UpdateExpression':
        return PRIMITIVE;
      default:
        return UNKNOWN;
    }
  }

  private made(
    { callee, typeArguments }: oxc.NewExpression,
    source: SourceTree,
    locals: ReadonlyMap<string, Type>,
  ): Type {
    const made = this.of(callee, source, locals);
    const argument = typeArguments?.params[0];
    if (made.kind !== 'builtin' || made.name !== 'Array' || argument === undefined) return made;
    return { ...made, element: this.written(argument, source) };
  }

  private element(type: Type): Type {
    if (type.kind !== 'builtin') return UNKNOWN;
    if (type.element !== undefined) return type.element;
    return TYPED_ARRAY.test(type.name) ? PRIMITIVE : UNKNOWN;
  }

  /** A member by its name; a Callable for methods and getters. */
  member(type: Type, name: string): Type {
    switch (type.kind) {
      case 'module':
        return this.named(name, type.source);
      case 'class':
        return this.ofClass(type.node, type.source, name);
      case 'members':
        return this.ofMembers(type.node, type.source, name);
      case 'builtin': {
        if (name === 'length' || name === 'byteLength') return PRIMITIVE;
        const label = `${type.name}.${name}`;
        const isHot = HOT_BUILTINS.some((pattern) => pattern.test(label));
        return { kind: 'callable', label, isHot, result: () => (isHot ? PRIMITIVE : UNKNOWN) };
      }
      case 'union': {
        const members = type.types.map((each) => this.member(each, name));
        if (members.length === 0 || members.some(({ kind }) => kind !== 'callable')) {
          return UNKNOWN;
        }
        // All must be hot: the one that is not is the one to be named.
        return members.find((each) => !(each as Callable).isHot) ?? members[0];
      }
      default:
        return UNKNOWN;
    }
  }

  private ofClass(node: oxc.Class, source: SourceTree, name: string): Type {
    for (const member of node.body.body) {
      if (member.type !== 'MethodDefinition' && member.type !== 'PropertyDefinition') continue;
      if (nameOf(member.key) !== name) continue;
      if ('kind' in member) {
        if (member.kind === 'set') continue;
        const isHot = source.hotMarkBefore(member.start) !== undefined;
        const label = `${node.id?.name}.${name}`;
        const method = this.callable(label, isHot, member.value.returnType, source);
        return member.kind === 'get' ? { ...method, isGetter: true } : method;
      }
      const written = member.typeAnnotation?.typeAnnotation;
      if (written) return this.written(written, source);
      return member.value === null ? UNKNOWN : this.of(member.value, source, new Map());
    }
    if (node.superClass === null) return UNKNOWN;
    return this.member(this.of(node.superClass, source, new Map()), name);
  }

  private ofMembers(node: MemberList, source: SourceTree, name: string): Type {
    for (const member of membersIn(node)) {
      if (!('key' in member) || nameOf(member.key) !== name) continue;
      const isHot = source.hotMarkBefore(member.start) !== undefined;
      const label = 'id' in node ? `${node.id.name}.${name}` : name;
      if (member.type === 'TSMethodSignature') {
        return this.callable(label, isHot, member.returnType, source);
      }
      let type = UNKNOWN;
      if (member.type === 'Property') type = this.of(member.value, source, new Map());
      else if (member.type === 'TSPropertySignature' && member.typeAnnotation) {
        type = this.written(member.typeAnnotation.typeAnnotation, source);
      }
      if (type.kind !== 'callable') return type;
      return { ...type, label, isHot: isHot || type.isHot };
    }
    if (node.type !== 'TSInterfaceDeclaration') return UNKNOWN;
    for (const { expression } of node.extends) {
      const found = this.member(this.of(expression, source, new Map()), name);
      if (found.kind !== 'unknown') return found;
    }
    return UNKNOWN;
  }
}

/** What an interface, a type or an object has between its braces. */
export function membersIn(node: MemberList) {
  if (node.type === 'TSInterfaceDeclaration') return node.body.body;
  return node.type === 'TSTypeLiteral' ? node.members : node.properties;
}

export function nameOf(key: oxc.PropertyKey): string | undefined {
  return 'name' in key && typeof key.name === 'string' ? key.name : undefined;
}
