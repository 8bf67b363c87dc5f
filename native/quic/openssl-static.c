/*
 * What a static OpenSSL of a newer Debian asks for and this system may not have.
 *
 * Its objects were compiled against a newer C library, which names two functions anew. And they can
 * compress certificates with zlib and zstd: tls-openssl.c turns that off, so nothing of it is ever
 * called; each says that it failed.
 */
#include <stddef.h>

long sq_libc_strtol(const char *text, char **end, int base) __asm__("strtol");
unsigned long sq_libc_strtoul(const char *text, char **end, int base) __asm__("strtoul");

long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);

/* C23 only adds binary numbers, 0b101: no part of OpenSSL reads them. */
long __isoc23_strtol(const char *text, char **end, int base)
{
	return sq_libc_strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return sq_libc_strtoul(text, end, base);
}

/* zlib: Z_STREAM_ERROR. */
#define NO_ZLIB(name)    \
	int name(void);  \
	int name(void)   \
	{                \
		return -2; \
	}

NO_ZLIB(compress)
NO_ZLIB(uncompress)
NO_ZLIB(deflate)
NO_ZLIB(deflateEnd)
NO_ZLIB(deflateInit_)
NO_ZLIB(inflate)
NO_ZLIB(inflateEnd)
NO_ZLIB(inflateInit_)

const char *zError(int error);
const char *zError(int error)
{
	(void)error;
	return "no zlib";
}

/* zstd: sizes above its largest error code are errors; a stream that cannot be made is NULL. */
#define NO_ZSTD(name)                \
	size_t name(void);           \
	size_t name(void)            \
	{                            \
		return (size_t)-1;   \
	}
#define NO_ZSTD_STREAM(name) \
	void *name(void);    \
	void *name(void)     \
	{                    \
		return NULL; \
	}

NO_ZSTD(ZSTD_CStreamInSize)
NO_ZSTD(ZSTD_DStreamInSize)
NO_ZSTD(ZSTD_compress)
NO_ZSTD(ZSTD_compressStream2)
NO_ZSTD(ZSTD_decompress)
NO_ZSTD(ZSTD_decompressStream)
NO_ZSTD(ZSTD_endStream)
NO_ZSTD(ZSTD_flushStream)
NO_ZSTD(ZSTD_freeCStream)
NO_ZSTD(ZSTD_freeDStream)
NO_ZSTD(ZSTD_initCStream)
NO_ZSTD(ZSTD_initDStream)
NO_ZSTD_STREAM(ZSTD_createCStream_advanced)
NO_ZSTD_STREAM(ZSTD_createDStream_advanced)

unsigned ZSTD_isError(size_t code);
unsigned ZSTD_isError(size_t code)
{
	(void)code;
	return 1;
}

const char *ZSTD_getErrorName(size_t code);
const char *ZSTD_getErrorName(size_t code)
{
	(void)code;
	return "no zstd";
}
