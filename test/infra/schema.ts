/** An argument: `name = value`. */
export interface Argument {
  /** As the provider's bindings call it: `string`, `number`, `boolean`, `stringList`, `stringMap` … */
  readonly type: string;
  readonly required?: true;
  /** The only values it takes, where the provider says so. */
  readonly values?: readonly string[];
}

/** What stands between the braces of a resource or of a block in it. */
export interface Block {
  readonly arguments: Readonly<Record<string, Argument>>;
  readonly blocks: Readonly<Record<string, NestedBlock>>;
  /** What others may read from it, arguments and blocks included. */
  readonly readable: readonly string[];
}

/** `name { … }`, without an equals sign. */
export interface NestedBlock extends Block {
  readonly required?: true;
  /** At most one. */
  readonly single?: true;
}

/** What of the provider's schema the infrastructure uses, by type: `google_pubsub_topic`. */
export interface ProviderSchema {
  /** Where it was read from, with the version. */
  readonly source: string;
  readonly resources: Readonly<Record<string, Block>>;
  readonly data: Readonly<Record<string, Block>>;
}
