/* For libImaging/JpegDecode.c and JpegEncode.c: src/unwind.c has the functions of these names, and calls them. */
#define ImagingJpegDecode genlayer_jpeg_decode
#define ImagingJpegEncode genlayer_jpeg_encode
