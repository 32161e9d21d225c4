/*
 * Preloaded into user-mode Linux by qemu/run.
 *
 * UML 6.1 keeps 2696 bytes of FPU state per process, which is all that AVX-512 needs. The host's kernel takes
 * PTRACE_SETREGSET(NT_X86_XSTATE) only for the whole area (11008 bytes where the CPU has AMX), so the guest's init
 * dies there of "put_fp_registers failed". This fills up what UML sends with the state of a process that never
 * touched the rest: nothing in the guest can, because the host hands out AMX on request only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

static unsigned char area[65536] __attribute__((aligned(64)));
static size_t whole;

long ptrace(enum __ptrace_request request, ...)
{
	static long (*next)(enum __ptrace_request, ...);
	va_list rest;

	va_start(rest, request);
	pid_t pid = va_arg(rest, pid_t);
	void *addr = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);

	if (!next)
		next = dlsym(RTLD_NEXT, "ptrace");
	if (request != PTRACE_SETREGSET || addr != (void *)NT_X86_XSTATE)
		return next(request, pid, addr, data);

	struct iovec *short_one = data, full = { area, sizeof(area) };
	if (!whole) {
		if (next(PTRACE_GETREGSET, pid, addr, &full) < 0)
			return next(request, pid, addr, data);
		whole = full.iov_len;
	}
	if (short_one->iov_len >= whole)
		return next(request, pid, addr, data);
	memcpy(area, short_one->iov_base, short_one->iov_len);
	full.iov_len = whole;
	return next(request, pid, addr, &full);
}
