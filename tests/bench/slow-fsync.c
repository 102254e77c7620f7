/* Makes each fsync take NEXO_BENCH_FSYNC_US longer: most disks are slower than a virtual machine's cache.
   Preloaded into a whole benchmark, so both of its sides have the same disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void add_delay(void)
{
	const char *us = getenv("NEXO_BENCH_FSYNC_US");
	long long ns = us ? atoll(us) * 1000 : 0;
	struct timespec delay = { ns / 1000000000, ns % 1000000000 };
	nanosleep(&delay, NULL);
}

static int slow_sync(const char *name, int file)
{
	int (*original)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	int result = original(file);
	add_delay();
	return result;
}

int fsync(int file)
{
	return slow_sync("fsync", file);
}

int fdatasync(int file)
{
	return slow_sync("fdatasync", file);
}
