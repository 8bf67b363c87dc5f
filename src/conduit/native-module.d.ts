/** The native module as a file that `bun build --compile` embeds. */
declare module "*.so" {
  const path: string;
  export default path;
}
