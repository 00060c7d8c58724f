/* A segment in tmpfs can be short of room: the program must live through that. */
#ifndef GMPT_ROOM_H
#define GMPT_ROOM_H

/* From here on a page of the segment that tmpfs has no room for is one of our own, and nothing more is traced. */
void room_watch(void);

#endif
