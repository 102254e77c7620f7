/* A disk whose fsync takes NEXO_BENCH_FSYNC_US longer: most disks are slower than a virtual machine's cache.
   Preloaded into a whole benchmark, so both of its sides have the same disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_longer(void)
{
	const char *us = getenv("NEXO_BENCH_FSYNC_US");
	long long ns = us ? atoll(us) * 1000 : 0;
	struct timespec longer = { ns / 1000000000, ns % 1000000000 };
	nanosleep(&longer, NULL);
}

static int sync_by(const char *name, int file)
{
	int (*really)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	int done = really(file);
	wait_longer();
	return done;
}

int fsync(int file)
{
	return sync_by("fsync", file);
}

int fdatasync(int file)
{
	return sync_by("fdatasync", file);
}
