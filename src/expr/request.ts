/**
 * An HTTP request as the samples of pages see it. Whoever serves pages fills it; streams have none.
 */

/** One request. Its texts are as the client sent them. */
export type HttpRequest = {
  /** `GET`. */
  method: string;
  /** The request's target: `/path?query`, or an absolute one. */
  url: string;
  /** `1.1`. */
  version: string;
  /** Value of a header, several of one name joined by `, `; undefined = none. Any case. */
  header(name: string): string | undefined;
};
