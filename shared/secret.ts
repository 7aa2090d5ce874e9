/**
 * A secret's current value, read at each use: a mounted file that was rotated is seen without a restart.
 * @throws ConfigError naming the variable or file that is missing, never a value
 */
export type Secret = () => string;

/** Turns a configured text such as `${NAME}`, `${file:/secrets/token}` or a literal into a `Secret`. */
export type ResolveSecret = (template: string) => Secret;
